"""The page of a run of ``make card``, in Markdown, from its JSON alone; and its place in docs/performance.md."""

import statistics
from pathlib import Path
from typing import Any, Callable, Optional

from mmlgd.errors import ConfigError
from mmlgd.utils.files import write_whole

from .parts import BATCH, LGKA_BATCH
from .results import DONE, LEFT, Outcome, Results

BEGIN, END = '<!-- the page of card.json: begin -->', '<!-- the page of card.json: end -->'
NOT_YET = 'Not measured yet.'
LIVE, STORED = 'LGD, live teacher', 'LGD, stored teacher'
Found = dict[str, dict[str, Any]]


def _step(found: Found, way: str, classes: str = '1000') -> float:
    return statistics.median(found['step']['seconds_by_classes'][classes][way])


def _lgka(found: Found, classes: str) -> str:
    return (
        f'{1e3 * statistics.median(found["lgka"]["seconds_by_classes"][classes]["VisualSemanticsBank.update"]):.3g} ms'
    )


def _stored(found: Found) -> str:
    seconds = _step(found, STORED)
    return f'{BATCH / seconds:,.0f}, {_step(found, "supervised ResNet-18 (floor)") / seconds:.2f} ×'


# What, as published (measured earlier with the published code, on one H100), the target, and ours.
TARGETS: list[tuple[str, str, str, Callable[[Found], str]]] = [
    (
        'whole step, live teacher, K = 1000, images/s',
        '1939',
        '≥ 8,700',
        lambda found: f'{BATCH / _step(found, LIVE):,.0f}',
    ),
    (
        'whole step, stored teacher, images/s and × the supervised step',
        '–',
        '≥ 14,500, and ≥ 0.95 ×',
        _stored,
    ),
    (f'LGKA, K = 1000, batch {LGKA_BATCH}', '160 ms', '≤ 0.3 ms', lambda found: _lgka(found, '1000')),
    (f'LGKA, K = 21,841, batch {LGKA_BATCH}', '–', '≤ 3 ms', lambda found: _lgka(found, '21841')),
    (
        f'teacher forward, batch {BATCH}',
        '26.7 ms (eager bf16)',
        '≤ 13 ms',
        lambda found: f'{1e3 * statistics.median(list(found["teacher"]["seconds"].values())[-1]):.3g} ms',
    ),
    (
        'step at K = 21,841 against K = 80',
        '–',
        '≤ 1.15 ×',
        lambda found: f'{_step(found, LIVE, "21841") / _step(found, LIVE, "80"):.2f} ×',
    ),
    ('step with terms on places', '–', '≤ 1.25 ×', lambda found: f'{found["dense"]["ratio"]:.2f} ×'),
]


def page_of(results: Optional[Results]) -> str:
    """Write the page.

    Args:
        results (Results, optional): Of a run. None: there was none yet, and the targets stand alone.

    Returns:
        str: Markdown, with headings of the third level.
    """
    if results is None:
        return f'{NOT_YET}\n\n{_targets({})}\n'
    device = results.card or '**no GPU: everything ran on a CPU**'
    versions = ', '.join(f'{name} {version}' for name, version in results.versions.items())
    taken = sum(one.seconds for one in results.outcomes) / 60
    found = {one.name: one.found for one in results.outcomes if one.state == DONE}
    blocks = [
        f'{device}; {versions}. {results.date}, `make card`, {taken:.1f} of {results.minutes:g} minutes. '
        f'Real images: {results.images}.'
    ]
    if results.tiny:
        blocks.append('**Tiny sizes**: the tables show that each part runs, and say nothing about speed.')
    elif results.card:
        blocks.append(_targets(found))
    blocks.append('\n'.join(['| part | | seconds |', '|---|---|---|', *map(_row, results.outcomes)]))
    blocks += [_part(one) for one in results.outcomes if one.state != LEFT]
    return '\n\n'.join(blocks) + '\n'


def _targets(found: Found) -> str:
    lines = ['| what | published | target | ours |', '|---|---|---|---|']
    for what, published, target, ours in TARGETS:
        try:
            measured = ours(found)
        except KeyError:  # the part is not done
            measured = ''
        lines.append(f'| {what} | {published} | {target} | {measured} |')
    return '\n'.join(lines)


def _row(outcome: Outcome) -> str:
    return f'| {outcome.name} | {outcome.state} | {outcome.seconds:.0f} |'


def _part(outcome: Outcome) -> str:
    blocks = [f'### {outcome.found.get("title", f"{outcome.name}: {outcome.state}")}', f'`{outcome.command}`']
    if outcome.found:
        blocks.append(outcome.found['table'])
    if outcome.error:
        blocks.append(f'**{outcome.state.capitalize()}**\n\n```text\n{outcome.error.replace("```", "")}\n```')
    return '\n\n'.join(blocks)


def put_into(document: Path, results: Results) -> None:
    """Put the page into a document, in place of the one between its two marks.

    Args:
        document (Path): docs/performance.md.
        results (Results): Of a run on a card, in full sizes.

    Raises:
        ConfigError: The run was not on a card, or tiny, or the document has not the marks.
    """
    if results.card is None or results.tiny:
        how = 'in tiny sizes' if results.tiny else 'without a GPU'
        raise ConfigError(f'These results were made {how}, and the page is about a card. Give those of `make card`.')
    text = document.read_text(encoding='utf-8')
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ConfigError(
            f'{document} has not one {BEGIN} and one {END}, between which the page belongs. Put them back.'
        )
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    write_whole(document, f'{before}{BEGIN}\n\n{page_of(results)}\n{END}{after}'.encode())
