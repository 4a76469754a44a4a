"""The same images as a folder and as shards: what a start with each costs, and how fast each is read from the disk."""

import io
import multiprocessing
import os
import random
import resource
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Callable

from mmengine.dataset import DefaultSampler
from mmengine.registry import init_default_scope

from mmlgd.datasets import Images, ImageShards
from mmlgd.datasets.loading import read_bytes
from mmlgd.store import survey_images

from .timing import Times

EACH = 1000  # images of a sub-folder, and ten times as many of a shard


def write_folder(place: Path, contents: Iterable[bytes], linked: bool = False) -> None:
    """Write images into sub-folders.

    Args:
        place (Path): The folder, which is made.
        contents (Iterable[bytes]): Of the images, in order.
        linked (bool): Make each sub-folder of links to its first image: so a million take little space. Defaults to
            False.
    """
    for k, content in enumerate(contents):
        folder = place / f'{k // EACH:06d}'
        if k % EACH and linked:
            os.link(folder / '000.jpg', folder / f'{k % EACH:03d}.jpg')
        else:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f'{k % EACH:03d}.jpg').write_bytes(content)


def write_shards(place: Path, contents: Iterable[bytes], each: int = 10 * EACH) -> None:
    """Write images into shards.

    Args:
        place (Path): The folder, which is made.
        contents (Iterable[bytes]): Of the images, in order.
        each (int): Images of a shard. Defaults to 10,000.
    """
    place.mkdir(parents=True)
    for s, group in groupby(enumerate(contents), key=lambda pair: pair[0] // each):
        with tarfile.open(place / f'{s:06d}.tar', 'w') as tar:
            for k, content in group:
                member = tarfile.TarInfo(f'{k // EACH:06d}/{k % EACH:03d}.jpg')
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
                tar.members.clear()  # it would keep a kilobyte of each


def start(place: Path) -> dict[str, float]:
    """Do in a new process what a rank does with its images before the first step: list, compare, and order them.

    Args:
        place (Path): A folder of :func:`write_folder` or :func:`write_shards`.

    Returns:
        Dict[str, float]: ``images``; ``seconds`` and ``cpu`` (seconds); ``memory``, the most that the process had, and
        ``more``, what of it the images took, both in MiB.
    """
    near, far = multiprocessing.Pipe()
    process = multiprocessing.get_context('spawn').Process(target=_start, args=(place, far), daemon=True)
    process.start()
    far.close()  # so that an error of the process ends this one as well
    found = near.recv()
    process.join()
    return found


def _start(place: Path, way) -> None:
    init_default_scope('mmpretrain')
    before, started, cpu = _memory(), time.perf_counter(), time.process_time()
    dataset = _dataset(place)
    survey_images(dataset)
    order = list(DefaultSampler(dataset, seed=0))
    took, busy = time.perf_counter() - started, time.process_time() - cpu
    way.send(dict(images=len(order), seconds=took, cpu=busy, memory=_memory(), more=_memory() - before))


def read_cold(folder: Path, shards: Path, rounds: int) -> Times:
    """Read the bytes of all images from the disk, in several orders, in turns; before each, the system forgets them.

    Args:
        folder (Path): Of :func:`write_folder`.
        shards (Path): Of :func:`write_shards`, with the same images.
        rounds (int): Timings of each.

    Returns:
        Dict[str, List[float]]: Seconds of each round, by order: any order in both; one that stays in two shards at a
        time; and shards from end to end, as a stream.
    """
    of_folder, of_shards = (_readers(_dataset(place)) for place in (folder, shards))
    places = [info['member'].shard for info in _infos(_dataset(shards))]
    orders: dict[str, tuple[Sequence[Callable], Callable[[random.Random], list[int]]]] = {
        'folder, any order': (of_folder, lambda draw: draw.sample(range(len(places)), len(places))),
        'shards, any order': (of_shards, lambda draw: draw.sample(range(len(places)), len(places))),
        'shards, two at a time': (of_shards, lambda draw: _few_at_a_time(places, 2, draw)),
        'shards, from end to end': (of_shards, lambda draw: list(range(len(places)))),
    }
    files = [*sorted(set(places)), *(info['img_path'] for info in _infos(_dataset(folder)))]
    times: Times = {name: [] for name in orders}
    for k in range(rounds):
        for name, (readers, order) in orders.items():
            numbers = order(random.Random(k))
            _forget(files)
            started = time.perf_counter()
            for number in numbers:
                readers[number]()
            times[name].append(time.perf_counter() - started)
    return times


def load_all(place: Path, size: int) -> Callable[[], None]:
    """Make a function that reads, decodes and crops all images, in order.

    Args:
        place (Path): Of :func:`write_folder` or :func:`write_shards`.
        size (int): Side of the crop in pixels.

    Returns:
        Callable: It takes nothing and returns nothing.
    """
    dataset = _dataset(place, view='moco-v2-crop', size=size)

    def load() -> None:
        for k in range(len(dataset)):
            dataset[k]

    return load


def _dataset(place: Path, **options) -> Images:
    kind = ImageShards if next(place.iterdir()).is_file() else Images
    return kind(data_root=str(place), with_label=False, **options)


def _infos(dataset: Images) -> Iterator[dict]:
    return (dataset.get_data_info(k) for k in range(len(dataset)))


def _readers(dataset: Images) -> list[Callable[[], bytes]]:
    return [partial(read_bytes, info['img_path'], member=info.get('member')) for info in _infos(dataset)]


def _few_at_a_time(places: Sequence[str], shards: int, draw: random.Random) -> list[int]:
    groups = [list(group) for _, group in groupby(range(len(places)), key=places.__getitem__)]
    draw.shuffle(groups)
    order: list[int] = []
    for k in range(0, len(groups), shards):
        chosen = [number for group in groups[k : k + shards] for number in group]
        order += draw.sample(chosen, len(chosen))
    return order


def _forget(files: Iterable[str]) -> None:
    for file in files:
        handle = os.open(file, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
