"""What a comparison of starts shows, in sentences."""

from collections.abc import Mapping

from .gains import Figures, gain_of, rises, worth_in_labels
from .metrics import Unit
from .runs import mean_and_spread
from .shares import share_text


def verdict_of(figures: Mapping[str, Figures], bases: Mapping[str, str], unit: Unit) -> list[str]:
    """Say what each start gains over another one.

    Args:
        figures (Mapping[str, Figures]): All starts with equal shares and seeds.
        bases (Mapping[str, str]): For each start with a gain, the start that it is compared with.
        unit (Unit): Of the figures.

    Returns:
        List[str]: For each of them one sentence with its gain on the largest share and its worth in labels, then
        one for each smaller share; and what one share or one seed cannot show.
    """
    shares = next(iter(figures.values()))
    *fewer, most = sorted(shares)
    told = []
    for name, base in bases.items():
        own, reference = figures[name], figures[base]
        worths = [_worth(name, own, base, reference, share) for share in fewer]
        gains = [_gain(name, own, base, reference, share, unit) for share in (most, *reversed(fewer))]
        told += [f'{"; ".join([gains[0], *worths])}.', *(f'{gain}.' for gain in gains[1:])]
    if not fewer:
        told.append('One share of the labels was measured: what a start is worth in labels takes two or more.')
    if falling := [base for base in dict.fromkeys(bases.values()) if not rises(figures[base])]:
        told.append(
            f'{" and ".join(falling)} should rise with more labels, and does not: these figures are too uncertain to '
            f'decide by. More steps, seeds or evaluation images would tell more.'
        )
    if len(shares[most]) == 1:
        told.append('One seed: there is no spread and no interval. Add seeds, for example --seeds 0 1 2.')
    return told


def _gain(name: str, own: Figures, base: str, reference: Figures, share: float, unit: Unit) -> str:
    gain = gain_of(own[share], reference[share])
    spread = '' if gain.interval is None else f' ± {gain.spread:{unit.digits}}'
    told = f'{name} is {gain.mean:+{unit.digits}}{spread} {unit.word} {"over" if gain.mean >= 0 else "against"} {base}'
    told += f' with {share_text(share)} of the labels,' if len(reference) > 1 or share < 100 else ''
    if gain.interval is None:
        return f'{told} on one seed'
    low, high = (f'{end:+{unit.digits}}' for end in gain.interval)
    told += f' on {gain.same_sign} of {gain.seeds} seeds (95 % interval {low} to {high})'
    if gain.spread >= abs(gain.mean):
        told += ', but this is no more than the spread over seeds: it shows neither gain nor loss'
    return told


def _worth(name: str, own: Figures, base: str, reference: Figures, share: float) -> str:
    worth = worth_in_labels(mean_and_spread(own[share].values())[0], reference)
    told = f'{share_text(share)} of the labels with {name}'
    if worth.share is None:
        return f'what {told} are worth cannot be said: {base} does not rise with its labels'
    if not worth.side:
        return f'{told} equal {share_text(float(f"{worth.share:.2g}"))} from {base}'
    extreme = 'less than {}, the smallest' if worth.side < 0 else 'more than {}, the largest'
    return f'{told} equal {extreme.format(share_text(worth.share))} share measured, from {base}'
