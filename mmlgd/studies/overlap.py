"""Were evaluation images among those of pre-training? Compared byte for byte, as far as a checkpoint says where."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable

from mmengine.config import Config

from mmlgd.checkpoints import read_checkpoint
from mmlgd.checkpoints.configs import model_config
from mmlgd.datasets.folder import folder_of, images_in
from mmlgd.datasets.shard_index import ShardIndex
from mmlgd.datasets.shards import are_shards, shards_of
from mmlgd.errors import MMLGDError, sentence, shown
from mmlgd.store import TeacherStore, file_digest
from mmlgd.utils.paths import IMAGE_SUFFIXES

from .data_sets import dataset_of


class UncheckedError(MMLGDError, ValueError):
    """The images of evaluation and of pre-training cannot be compared; the message says why."""


def seen_before(cfg: Config, sources: Mapping[str, str]) -> dict[str, str]:
    """Compare the images of an evaluation with those of each start's pre-training.

    Args:
        cfg (Config): Of the downstream runs.
        sources (Mapping[str, str]): Files of starts by name. ``'none'``, a random start, has seen nothing.

    Returns:
        Dict[str, str]: A sentence for each start that is not random: how many evaluation images it has seen, or why
        that cannot be checked.
    """
    told = {}
    images: list[str] = []
    for name, source in sources.items():
        if source == 'none':
            continue
        try:
            seen_in = _seen_images(source)
            images = images or _evaluation_images(cfg)  # read once, if there is anything to compare them with
            seen, where = seen_in(images)
        except (MMLGDError, OSError) as error:
            told[name] = f'Whether {name} has seen the evaluation images was not checked: {sentence(error)}'
            continue
        where = f'the pre-training images of {name}, {where}'
        told[name] = (
            f'WARNING: {seen} of the {len(images)} evaluation images are among {where}: its figures may be better than '
            f'for new images.'
            if seen
            else f'None of the {len(images)} evaluation images is among {where}.'
        )
    return told


def _seen_images(source: str) -> Callable[[Sequence[str]], tuple[int, str]]:
    """Find where a start says its images are; return what counts copies there, and says where that is."""
    if not Path(source).is_file():
        raise UncheckedError(f'{source} does not say which images it was trained on')
    cfg = model_config(read_checkpoint(source), source)
    try:
        dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
        folder, store = folder_of(dataset), str(dataset.get('store') or '')
    except (AttributeError, TypeError) as error:  # the config is anyone's
        raise UncheckedError(f'its config has data of another form: {sentence(error)}') from error
    if folder and (are_shards(folder) or folder.is_dir()):
        return lambda images: (_copies(images, folder), f'in {shown(folder)}')
    if store and Path(store).is_dir():
        return lambda images: _digests(images, store)
    where = f'{shown(folder)} is not here' if folder else 'its config names no folder of images'
    raise UncheckedError(f'{where}, and no teacher store of it')


def _evaluation_images(cfg: Config) -> list[str]:
    dataset = dataset_of(cfg, 'val_dataloader')
    if not hasattr(dataset, 'get_data_info'):
        raise UncheckedError(f'the evaluation set, a {type(dataset).__name__}, does not say where its images are')
    paths = [dataset.get_data_info(k).get('img_path') for k in range(len(dataset))]
    files = [path for path in paths if isinstance(path, str) and os.path.isfile(path)]
    if not files or len(files) < len(paths):
        raise UncheckedError(f'{len(paths) - len(files)} of the {len(paths)} evaluation images are no files here')
    return files


def _copies(images: Sequence[str], folder: Path) -> int:
    """Count the images that have a copy in a folder, or in shards; only files of equal size are read."""
    sizes = {os.path.getsize(image) for image in images}
    if are_shards(folder):
        members = [info['member'] for info in ShardIndex(shards_of(folder), IMAGE_SUFFIXES)]
        there = {_digest(member.read()) for member in members if member.size in sizes}
    else:
        files = (folder / name for name in images_in(folder, IMAGE_SUFFIXES))
        there = {_digest(file.read_bytes()) for file in files if file.stat().st_size in sizes}
    return sum(_digest(Path(image).read_bytes()) in there for image in images)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _digests(images: Sequence[str], store: str) -> tuple[int, str]:
    """Count the images whose checksum a teacher store has."""
    rows = TeacherStore(store)
    there = {rows.file_digest(row) for row in range(rows.num_images)} - {None, 0}
    if not there:
        raise UncheckedError(f'the teacher store {shown(store)} has no checksums of its images')
    chance = len(images) * len(there) / 2**32
    where = f'by their checksums in {shown(store)} (of images that differ, {chance:.2g} are expected to agree)'
    return sum(file_digest(image) in there for image in images), where
