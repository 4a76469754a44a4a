"""Were evaluation images among those of pre-training? Compared byte for byte, as far as a checkpoint says where."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Union

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmlgd.checkpoints import read_checkpoint
from mmlgd.checkpoints.configs import model_config
from mmlgd.datasets.folder import folder_of, images_in
from mmlgd.errors import MMLGDError, sentence, shown
from mmlgd.store import TeacherStore, file_digest
from mmlgd.utils.paths import IMAGE_SUFFIXES


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
    sources = {name: source for name, source in sources.items() if source != 'none'}
    told, images = {}, None
    for name, source in sources.items():
        try:
            images = _evaluation_images(cfg) if images is None else images
            told[name] = _compared(images, source, name)
        except (MMLGDError, OSError) as error:
            told[name] = f'Whether {name} has seen the evaluation images was not checked: {sentence(error)}'
    return told


def _evaluation_images(cfg: Config) -> list[str]:
    loader = cfg.get('val_dataloader') or {}
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
        dataset = DATASETS.build(loader.get('dataset'))
    paths = [dataset.get_data_info(k).get('img_path') for k in range(len(dataset))]
    files = [path for path in paths if isinstance(path, str) and os.path.isfile(path)]
    if not files or len(files) < len(paths):
        raise UncheckedError(f'{len(paths) - len(files)} of the {len(paths)} evaluation images are no files here')
    return files


def _compared(images: Sequence[str], source: str, name: str) -> str:
    if not Path(source).is_file():
        raise UncheckedError(f'{source} does not say which images it was trained on')
    cfg = model_config(read_checkpoint(source), source)
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    folder, store = folder_of(dataset), dataset.get('store')
    if folder and folder.is_dir():
        seen, where = _copies(images, folder), f'the pre-training images of {name}, in {shown(folder)}'
    elif store and Path(store).is_dir():
        seen, where = _digests(images, store, name)
    else:
        where = f'{shown(folder)} is not here' if folder else 'its config names no folder of images'
        raise UncheckedError(f'{where}, and no teacher store of it')
    if not seen:
        return f'None of the {len(images)} evaluation images is among {where}.'
    return (
        f'WARNING: {seen} of the {len(images)} evaluation images are among {where}: its figures may be better than for '
        f'new images.'
    )


def _copies(images: Sequence[str], folder: Path) -> int:
    """Count the images that have a copy in a folder; only files of equal size are read."""
    sizes = {os.path.getsize(image) for image in images}
    files = (folder / name for name in images_in(folder, IMAGE_SUFFIXES))
    there = {_digest(file) for file in files if file.stat().st_size in sizes}
    return sum(_digest(image) in there for image in images)


def _digest(file: Union[str, Path]) -> bytes:
    return hashlib.sha256(Path(file).read_bytes()).digest()


def _digests(images: Sequence[str], store: str, name: str) -> tuple[int, str]:
    """Count the images whose checksum a teacher store has; and say where that was, and what chance would give."""
    rows = TeacherStore(store)
    there = {rows.file_digest(row) for row in range(rows.num_images)} - {None, 0}
    if not there:
        raise UncheckedError(f'the teacher store {shown(store)} has no checksums of its images')
    chance = len(images) * len(there) / 2**32
    where = f'the pre-training images of {name}, by their checksums in {shown(store)} (chance gives {chance:.2g})'
    return sum(file_digest(image) in there for image in images), where
