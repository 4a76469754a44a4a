"""Input images of a student: files, folders, shards, URLs and arrays, found, read and prepared batch by batch."""

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path, PurePosixPath
from typing import Callable, Optional, Union
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.dataset import Compose, default_collate
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS
from torch import Tensor

from mmlgd.checkpoints.file_handlers import plain_files
from mmlgd.datasets.folder import sorted_images
from mmlgd.datasets.loading import decode, read_bytes
from mmlgd.datasets.shard_index import ShardIndex
from mmlgd.datasets.shards import are_shards, shards_of
from mmlgd.datasets.sizes import is_loading
from mmlgd.datasets.tar_members import Member
from mmlgd.errors import ConfigError, MissingFileError, sentence, shown
from mmlgd.utils.paths import IMAGE_SUFFIXES


@dataclass
class ImageSource:
    """One image: a file, a URL or an array, with its path below the given folder, which names its drawing.

    An image in a shard has its place there as ``member``.
    """

    source: Union[str, np.ndarray]
    name: Union[str, Path] = ''
    member: Optional[Member] = None

    def __str__(self):
        return shown(self.source) if isinstance(self.source, str) else f'an array {self.source.shape}'

    @property
    def path(self) -> Optional[str]:
        """Str | None: Its file or URL; None for an array."""
        return self.source if isinstance(self.source, str) else None

    def read(self) -> np.ndarray:
        """Read it as (H, W, 3), BGR; errors of decoders and networks become one error that names the image."""
        if not isinstance(self.source, str):
            return self.source
        try:
            return decode(read_bytes(self.source, member=self.member))
        except Exception as error:
            raise ConfigError(f'{self} cannot be read: {" ".join(str(error).split())}.') from error


def find_images(inputs: Union[str, Path, np.ndarray, ImageSource, list]) -> list[ImageSource]:
    """Find the images of inputs, and check what can be checked without reading them.

    Args:
        inputs (str | Path | ndarray | list): A file, a URL, a folder (searched with its sub-folders), tar shards (see
            :func:`~mmlgd.datasets.shards.shards_of`), an array (H, W, 3) of uint8 in BGR order, or a list of these.

    Returns:
        List[ImageSource]: At least one.

    Raises:
        FileNotFoundError: A path is missing, or a shard.
        ShardError: A shard cannot be read.
        ConfigError: A folder has no images, an array is not (H, W, 3) of uint8, an input has another type, or the list
            is empty.

    Examples:
        >>> [str(one) for one in find_images(['http://host/cat.jpg', np.zeros((8, 8, 3), np.uint8)])]
        ['http://host/cat.jpg', 'an array (8, 8, 3)']
    """
    inputs = inputs if isinstance(inputs, (list, tuple, Iterator)) else [inputs]
    found = [image for one in inputs for image in _images_of(one)]
    if not found:
        raise ConfigError('Expected at least one image, got an empty list.')
    return found


def checked_array(image: np.ndarray) -> np.ndarray:
    """Refuse an array that is no image.

    Args:
        image (ndarray): Anything.

    Returns:
        np.ndarray: The same: (H, W, 3) of uint8, not empty.

    Raises:
        ConfigError: It has another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.dtype != np.uint8:
        raise ConfigError(
            f'Expected an array (height, width, 3) of uint8, from 0 to 255, in BGR order; got shape {image.shape} '
            f'of {image.dtype}. Give several images as a list of arrays.'
        )
    return image


def require_finite(images: Tensor) -> None:
    """Refuse a tensor of images that has no answer.

    Args:
        images (Tensor): Of any shape. One that is traced, as for an export, has no values and is not checked.

    Raises:
        ConfigError: Some values are NaN or infinite.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return
    if broken := int((~images.isfinite()).sum()):
        raise ConfigError(
            f'{broken} of {images.numel()} values in a tensor of images are NaN or infinite as {images.dtype}, so it '
            f'has no answer. Give finite values: a standard deviation of 0 in a normalisation makes such ones.'
        )


def preparation(pipeline: list[dict]) -> Compose:
    """Build transforms for images that are already read.

    Args:
        pipeline (List[dict]): As :attr:`~mmlgd.Student.pipeline`; transforms that read files are skipped.

    Returns:
        Compose: The transforms, for :func:`batches`.
    """
    # The host may work in the scope of another library.
    with plain_files(), DefaultScope.overwrite_default_scope('mmpretrain'):
        return Compose([TRANSFORMS.build(dict(step)) for step in pipeline if not is_loading(step)])


def batches(
    images: Iterable[ImageSource], prepare: Callable[[dict], dict], batch_size: int = 32, skip: bool = False
) -> Iterator[dict]:
    """Read and prepare images, batch by batch.

    Args:
        images (Iterable[ImageSource]): From :func:`find_images`.
        prepare (Callable): From :func:`preparation`.
        batch_size (int): Images per batch, at most. Defaults to 32.
        skip (bool): Skip unreadable images with a warning. Defaults to False: they are errors.

    Yields:
        dict: ``inputs`` and ``data_samples``, with ``index`` and ``img_path``; images of one size.
    """
    samples = _prepared(images, prepare, skip)
    while chunk := list(islice(samples, batch_size)):
        # Without resizing, images have several sizes, which cannot be stacked.
        for _, group in groupby(chunk, key=lambda sample: sample['inputs'].shape):
            yield default_collate(list(group))


def output_files(images: list[ImageSource], folder: Union[str, Path]) -> list[Path]:
    """Choose a PNG file for what is drawn of each image: one file each, and never one of the images themselves.

    Args:
        images (List[ImageSource]): From :func:`find_images`.
        folder (str | Path): Where to write; sub-folders are kept.

    Returns:
        List[Path]: A file for each image.
    """
    targets, taken = [], {Path(one.source).resolve() for one in images if isinstance(one.source, str)}
    # A folder of images may be called a.png: a file of this name would stand in its way.
    taken |= {Path(folder, place).resolve() for place in {place for one in images for place in Path(one.name).parents}}
    for index, one in enumerate(images):
        target = Path(folder, one.name or str(index)).with_suffix('.png')
        stem = target.stem
        while target.resolve() in taken:  # a.jpg beside a.png, or the folder is that of the images
            target, index = target.with_name(f'{stem}_{index}.png'), index + len(images)
        taken.add(target.resolve())
        targets.append(target)
    return targets


def _prepared(images: Iterable[ImageSource], prepare: Callable[[dict], dict], skip: bool) -> Iterator[dict]:
    for index, image in enumerate(images):
        try:
            array = image.read()
        except ValueError as error:
            if not skip:
                raise
            warnings.warn(f'{sentence(error)} It is skipped.', stacklevel=2)
            continue
        sample = prepare(dict(img=array, img_shape=array.shape[:2], ori_shape=array.shape[:2]))
        sample['data_samples'].set_metainfo(dict(index=index, img_path=image.path))
        yield sample


def _images_of(source: Union[str, Path, np.ndarray, ImageSource]) -> list[ImageSource]:
    if isinstance(source, ImageSource):
        return [source]
    if isinstance(source, np.ndarray):
        return [ImageSource(checked_array(source))]
    if not isinstance(source, (str, Path)):
        raise ConfigError(
            f'An image is a path, a URL, a folder or an array, got a {type(source).__name__}. From PIL: '
            f"np.asarray(image.convert('RGB'))[..., ::-1]."
        )
    if not str(source):  # an unset variable of a shell; Path('') is the current folder, '.'
        raise ConfigError("The path of an image is empty. Give a file, a URL or a folder; '.' is the current folder.")
    if '://' in str(source):
        name = PurePosixPath(urlparse(str(source)).path).name
        return [ImageSource(str(source), '' if name == '..' or '\\' in name else name)]
    path = Path(source).expanduser()
    if are_shards(path):
        return [
            ImageSource(info['img_path'], _name_in_shard(info), info['member'])
            for info in ShardIndex(shards_of(path), IMAGE_SUFFIXES)
        ]
    if path.is_dir():
        files, note = sorted_images(path, IMAGE_SUFFIXES)
        if note:
            warnings.warn(note, stacklevel=2)
        return [ImageSource(str(path / file), file) for file in sorted(map(Path, files))]
    if not path.is_file():
        raise MissingFileError(f'There is no image and no folder at {str(path)!r} (pipes and devices do not count).')
    return [ImageSource(str(path), path.name)]


def _name_in_shard(info: dict) -> Path:
    """Name an image by its shard and the name in it, whose parts do not lead out of a folder."""
    shard = info['member'].shard
    parts = re.split(r'[/\\]', info['img_path'].removeprefix(shard))
    return Path(Path(shard).stem, *(part for part in parts if part not in ('', '..')))
