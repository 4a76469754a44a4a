r"""All that is to be measured on a card, in one go: `make card` on a machine with a GPU.

    python tools/benchmarks/card.py --images /my/images --minutes 8
    python tools/benchmarks/card.py --images /my/images --minutes 8 --after work_dirs/card/card.json
    python tools/benchmarks/card.py --write-docs work_dirs/card/card.json

The tests marked `gpu`, every benchmark of docs/performance.md, and a minute of real pre-training, each in a process and
with a limit of its own. What fails is listed, and the rest still runs. After each part it writes card.json, and a page
in Markdown of it. The second command runs what the first had no time for, or what failed. The third puts the page into
docs/performance.md, and the file beside it.
"""

import argparse
import platform
import sys
import time
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Optional

import torch

from mmlgd.benchmarks.card.page import page_of, put_into
from mmlgd.benchmarks.card.parts import parts_of
from mmlgd.benchmarks.card.results import DONE, Results
from mmlgd.benchmarks.card.running import run_parts
from mmlgd.demo import write_demo_world
from mmlgd.errors import MMLGDError
from mmlgd.utils.files import write_whole
from mmlgd.version import __version__

PACKAGES = ('torchvision', 'mmengine', 'mmcv-lite', 'mmcv', 'mmpretrain', 'open_clip_torch', 'timm', 'kornia', 'numpy')
DOCS = Path(__file__).resolve().parents[2] / 'docs'


def versions() -> dict[str, str]:
    """Read the versions of what is measured.

    Returns:
        Dict[str, str]: Of Python, torch with its CUDA, and the packages that are installed.
    """
    found = dict(python=platform.python_version(), torch=torch.__version__, mmlgd=__version__)
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def parse_args(argv: Optional[list[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=Path, help='a folder of real images; default: images are drawn')
    # `make card` takes nine: before this it makes an environment.
    parser.add_argument('--minutes', type=float, default=8, help='for all of this; default: %(default)s')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/card'), help='default: %(default)s')
    parser.add_argument('--tiny', action='store_true', help='in sizes that show that everything runs, also on a CPU')
    parser.add_argument(
        '--after', type=Path, metavar='JSON', help='card.json of an earlier call: keep what is done, run the rest'
    )
    parser.add_argument('--write-docs', type=Path, metavar='JSON', help='put these results into docs/, and run nothing')
    args = parser.parse_args(argv)
    if args.images is not None and not args.images.is_dir():
        parser.error(f'--images expects a folder, got {str(args.images)!r}')
    if not args.write_docs and not args.tiny and not torch.cuda.is_available():
        parser.error('torch finds no GPU here. With --tiny, every part runs in small on a CPU.')
    return args


def measure(args: argparse.Namespace) -> Results:
    """Run the parts, and write what they found after each.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        Results: What they found.
    """
    end = time.monotonic() + 60 * args.minutes
    earlier = Results.read(args.after) if args.after else None
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    images, told = args.images, None
    if images is None:
        count, size = (20, 64) if args.tiny else (2560, 128)
        world = write_demo_world(out / 'world', num_objects=(count, 10), num_scenes=(10, 10), object_size=size)
        images, told = world / 'objects' / 'train', f'{count} drawn ones of {size} px, of the demo'
    results = Results(
        card=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        versions=versions(),
        date=datetime.now(timezone.utc).strftime('%Y-%m-%d'),
        images=told or f'the folder `{images.name}`',
        tiny=args.tiny,
        minutes=args.minutes,
        outcomes=[],
    )
    if earlier:
        results = results.after(earlier)
        write(results, out)
    for outcome in run_parts(results.left_of(parts_of(args.tiny)), images.resolve(), out, end):
        print(f'{outcome.name}: {outcome.state}, {outcome.seconds:.0f} s', flush=True)
        results = results.having(outcome)
        write(results, out)
    print(f'The figures: {out / "card.json"}\nThe page: {out / "card.md"}')
    return results


def write(results: Results, out: Path) -> None:
    """Write card.json, and the page of it."""
    results.write(out / 'card.json')
    write_whole(out / 'card.md', page_of(results).encode())


def main(argv: Optional[list[str]] = None) -> None:
    """Measure, or write the docs."""
    args = parse_args(argv)
    try:
        if args.write_docs:
            results = Results.read(args.write_docs)
            put_into(DOCS / 'performance.md', results)
            results.write(DOCS / 'card.json')
        elif any(one.state != DONE for one in measure(args).outcomes):
            sys.exit(1)  # the page lists it
    except MMLGDError as error:
        sys.exit(str(error))


if __name__ == '__main__':
    main()
