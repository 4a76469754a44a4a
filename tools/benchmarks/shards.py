r"""A folder of images or tar shards: what does a start with a million of them cost, and how fast are they read?

    python tools/benchmarks/shards.py --images /my/images --count 1000000 --read 4000 --rounds 5 --warmup 0

A start is measured in processes of their own, with tiny files: what each rank does before its first step. The shards
are started with twice: the first time their headers are read, then what was kept of them. For the speed, --images are
copied until there are --read of them. Everything is written under --folder, and removed in the end (Linux).
"""

import os
import tempfile
from itertools import cycle, islice
from pathlib import Path
from typing import Optional

from mmengine.registry import init_default_scope

from mmlgd.benchmarks.sources import load_all, read_cold, start, write_folder, write_shards
from mmlgd.benchmarks.timing import benchmark_parser, measure, report, table
from mmlgd.datasets.folder import images_in
from mmlgd.utils.paths import IMAGE_SUFFIXES


def main(argv: Optional[list[str]] = None) -> None:
    """Measure both, and print three tables."""
    parser = benchmark_parser(__doc__)
    parser.add_argument('--images', type=Path, required=True, help='a folder of real images, for the speed')
    parser.add_argument('--count', type=int, default=1_000_000, help='images of a start; default: %(default)s')
    parser.add_argument('--read', type=int, default=4000, help='images to read; default: %(default)s')
    parser.add_argument('--size', type=int, default=224, help='pixels of a side of a crop; default: %(default)s')
    parser.add_argument('--folder', type=Path, help='where to write for a while; default: that of temporary files')
    args = parser.parse_args(argv)
    init_default_scope('mmpretrain')
    with tempfile.TemporaryDirectory(dir=args.folder) as place:
        os.environ['MMLGD_CACHE'] = f'{place}/cache'
        starts = _starts(Path(place, 'many'), args.count)
        folder, shards = Path(place, 'some', 'folder'), Path(place, 'some', 'shards')
        found = [(args.images / name).read_bytes() for name in images_in(args.images, IMAGE_SUFFIXES)]
        write_folder(folder, islice(cycle(found), args.read))
        write_shards(shards, islice(cycle(found), args.read), each=max(1, args.read // 16))
        os.sync()  # the system forgets only what is on the disk
        bytes_read = read_cold(folder, shards, args.rounds)
        loaded = measure({place.name: load_all(place, args.size) for place in (folder, shards)}, args)
    lines = ['| a start with | images | s | CPU s | MiB | of them for images |', '|---' * 6 + '|']
    for name, one in starts.items():
        lines.append(
            f'| {name} | {one["images"]:,} | {one["seconds"]:.1f} | {one["cpu"]:.1f} | {one["memory"]:,.0f} | '
            f'{one["more"]:,.0f} |'
        )
    text = '\n'.join(lines)
    text += f'\n\nBytes from the disk:\n\n{table(bytes_read, args.read)}'
    text += f'\n\nRead from memory, decoded and cropped to {args.size} px:\n\n{table(loaded, args.read)}'
    mean = sum(map(len, found)) / len(found) / 1000
    title = f'A folder and shards; speed with {args.read} images of {mean:.0f} kB from {args.images.name}'
    report(title, text, dict(starts=starts, bytes_read=bytes_read, loaded=loaded), args)


def _starts(place: Path, count: int) -> dict[str, dict[str, float]]:
    write_folder(place / 'folder', islice(cycle([b'image']), count), linked=True)
    write_shards(place / 'shards', islice(cycle([b'image']), count))
    return {
        'a folder': start(place / 'folder'),
        'shards, for the first time': start(place / 'shards'),
        'shards, again': start(place / 'shards'),
    }


if __name__ == '__main__':
    main()
