r"""Draw where the time of one training step goes, published and ours, on one time axis.

    python tools/benchmarks/profile_step.py --classes 1000 --batch 256 --out step.png

On a GPU the bars are its kernels; elsewhere, torch's operators.
"""

import argparse
import re
from functools import partial
from pathlib import Path
from typing import Callable, Optional

import matplotlib

from mmlgd.benchmarks import published
from mmlgd.benchmarks.ours import add_compile_option, build_lgd, optimizer_of, unit_rows
from mmlgd.benchmarks.timing import environment, report

matplotlib.use('Agg')
import matplotlib.pyplot as plt
import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

WARMUP, PROFILED = 3, 7
# The first pattern in an operator's or kernel's name decides; the colours are Okabe and Ito's, safe for colour
# blindness.
KINDS = {
    'convolution': ('#0072B2', r'conv|implicit_gemm|cudnn|xmma|dgrad|wgrad|fprop'),
    'matrix product': ('#56B4E9', r'mm|linear|gemm|matmul|attention|cutlass|nvjet'),
    'normalisation': ('#009E73', r'norm|bn_'),
    'class by class': ('#D55E00', r'eq|nonzero|index|mean|item|_local_scalar|is_nonzero|select|scatter|copy_'),
    'optimizer': ('#CC79A7', r'sgd|foreach|optim'),
    'the rest': ('#999999', r''),
}


class Bar:
    """One operator or kernel: start and length in ms, and its kind."""

    def __init__(self, start: float, length: float, name: str):
        self.start, self.length = start, length
        self.kind = next(kind for kind, (_, pattern) in KINDS.items() if re.search(pattern, name, re.IGNORECASE))


def timelines(steps: dict[str, Callable[[], object]], device: str) -> dict[str, list[Bar]]:
    """Profile steps in turns, and keep the shortest of each, which other processes disturbed least.

    Args:
        steps (Dict[str, Callable]): Functions that make a step, by name.
        device (str): The device, as for torch.

    Returns:
        Dict[str, List[Bar]]: Bars in order of time, by name; each step starts at 0.
    """
    rounds = [{name: _profile(step, device) for name, step in steps.items()} for _ in range(WARMUP + PROFILED)]
    return {name: min((bars[name] for bars in rounds[WARMUP:]), key=_end) for name in steps}


def _end(bars: list[Bar]) -> float:
    return max(bar.start + bar.length for bar in bars)


def _profile(step: Callable[[], object], device: str) -> list[Bar]:
    on_gpu = device.startswith('cuda')
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiler:
        step()
        if on_gpu:
            torch.cuda.synchronize()
    # The launches of kernels and the wait for them are events, too: of the host.
    events = [
        event
        for event in profiler.events()
        if (event.device_type == DeviceType.CUDA if on_gpu else event.cpu_parent is None)
    ]
    first = min(event.time_range.start for event in events)
    return [
        Bar((event.time_range.start - first) / 1e3, event.time_range.elapsed_us() / 1e3, event.name) for event in events
    ]


def draw(steps: dict[str, list[Bar]], title: str, file: Path) -> None:
    """Draw the steps below each other.

    Args:
        steps (Dict[str, List[Bar]]): From :func:`timelines`.
        title (str): What was measured, and on which machine.
        file (Path): The PNG to write.
    """
    figure, axis = plt.subplots(figsize=(11, 1.1 * len(steps) + 1.6), dpi=130)
    for row, bars in enumerate(steps.values()):
        for kind, (color, _) in KINDS.items():
            chosen = [(bar.start, bar.length) for bar in bars if bar.kind == kind]
            axis.broken_barh(chosen, (row - 0.32, 0.64), facecolors=color, label=kind if row == 0 else None)
        axis.annotate(f' {_end(bars):.4g} ms', (_end(bars), row), va='center', size=10, weight='bold')
    axis.set_yticks(range(len(steps)), list(steps), size=10)
    axis.invert_yaxis()
    axis.set_xlabel('ms')
    axis.margins(x=0.09)
    axis.set_xlim(left=0)
    axis.spines[['top', 'right', 'left']].set_visible(False)
    axis.tick_params(axis='y', length=0)
    axis.set_title(title, loc='left', size=10)
    figure.legend(loc='lower center', ncol=len(KINDS), frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)
    plt.close(figure)


def by_kind(steps: dict[str, list[Bar]]) -> dict[str, dict[str, float]]:
    """Add up the bars of each kind.

    Args:
        steps (Dict[str, List[Bar]]): From :func:`timelines`.

    Returns:
        Dict[str, Dict[str, float]]: Milliseconds of each kind, by the name of the step.
    """
    return {
        name: {kind: sum(bar.length for bar in bars if bar.kind == kind) for kind in KINDS}
        for name, bars in steps.items()
    }


def main(argv: Optional[list[str]] = None) -> None:
    """Profile the published step and ours, live and stored, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu', help='default: %(default)s')
    parser.add_argument('--classes', type=int, default=1000, help='K; default: %(default)s')
    parser.add_argument('--batch', type=int, default=256, help='images; default: %(default)s')
    parser.add_argument('--teacher', default='RN50', help='an open_clip architecture; default: %(default)s')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/step.png'), help='default: %(default)s')
    parser.add_argument('--json', type=Path, help='write the milliseconds of each kind here as well')
    add_compile_option(parser)
    args = parser.parse_args(argv)
    model = build_lgd(args.classes, args.teacher, args.device, args.compile)
    optimizer = optimizer_of(model, args.device)
    shape = (args.batch, 3, *model.teacher.image_size)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, device=args.device)
    t = unit_rows(args.batch, model.teacher.embed_dim, args.device).half()
    tsb = model.textual_bank.bank.cpu()
    reference = published.PublishedStep(published.clip_of(args.teacher), tsb, args.device)
    batch = dict(inputs=pixels, data_samples=None)
    steps = {
        'published step': partial(reference, torch.randn(shape, device=args.device)),
        'LGD, live teacher': partial(model.train_step, batch, optimizer),
        'LGD, stored teacher': partial(model.train_step, dict(batch, teacher_embeddings=t), optimizer),
    }
    machine = environment(args.device)
    size = 'x'.join(map(str, shape[2:]))
    title = f'One step, ResNet-18, teacher {args.teacher}, K = {args.classes}, batch {args.batch}, {size} px'
    bars = timelines(steps, args.device)
    draw(bars, f'{title}, {machine["device"]}, torch {machine["torch"]}', args.out)
    found = by_kind(bars)
    lines = [f'| ms | {" | ".join(KINDS)} |', '|---' * (1 + len(KINDS)) + '|']
    lines += [f'| {name} | {" | ".join(f"{ms:.3g}" for ms in kinds.values())} |' for name, kinds in found.items()]
    report(title, '\n'.join(lines), dict(milliseconds=found), args)
    print(f'Look at {args.out}.')


if __name__ == '__main__':
    main()
