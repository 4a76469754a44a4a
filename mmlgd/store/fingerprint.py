"""Check that two runs see the same views: compare images, augmentation, libraries, and a few pixels as proof."""

import hashlib
import json
import os
import platform
import zlib
from collections.abc import Callable, Sized
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Optional

import numpy as np
import torch

from mmlgd.datasets.tar_members import Member
from mmlgd.errors import ConfigError, MMLGDError
from mmlgd.utils.building import build_part
from mmlgd.utils.spread import spread

_SURVEYED = 1000  # images whose file size is read
_PROBED = 16  # views whose pixels are compared: enough for each kind of augmentation to occur
_POINTS = 16  # rows and columns of such a view; the pixels where they cross are kept
# How far two views may differ on average. Noise of up to 3 grey levels in the image, more than the difference between
# decoders, gives 1.5 at most. Crops without antialiasing, or a missing hue or blur, give 5 and more.
_GREY_LEVELS = 2.0
_PART = 2**20  # bytes of a file to read at once
_LIBRARIES = (
    'mmcv',
    'onedl-mmcv',
    'mmpretrain',
    'onedl-mmpretrain',
    'torch',
    'torchvision',
    'kornia',
    'numpy',
    'opencv-python',
    'pillow',
    'simplejpeg',
)


def plain(value: Any) -> Any:
    """Reduce a config to JSON's types, so that a stored one and a new one can be compared.

    Args:
        value (Any): A config or part of one.

    Returns:
        Any: Dicts with string keys, lists, strings, numbers, booleans, None; anything else as its ``repr``.

    Examples:
        >>> plain(dict(scale=(0.2, 1.0)))
        {'scale': [0.2, 1.0]}
    """
    return json.loads(json.dumps(value, default=repr))


def survey_images(dataset: Sized) -> dict:
    """Describe the images of a data set: how many, which, and the sizes of some of their files.

    Args:
        dataset (Dataset): Of mmengine's kind, with an ``img_path`` in each ``get_data_info``, and a ``member`` if the
            image is in a shard.

    Returns:
        dict: ``count``, ``names`` (a digest of the paths below ``data_root``) and ``sizes`` (a digest of the file sizes
        of 1000 images, evenly spread).

    Raises:
        ValueError: The data set does not give the file of each image.
    """
    paths = [dataset.get_data_info(i).get('img_path') for i in range(len(dataset))]
    if not paths or not all(isinstance(path, str) for path in paths):
        raise ConfigError(
            f'{type(dataset).__name__} has no file (img_path) for each of its {len(paths)} images; a teacher store '
            f'identifies images by their files. Give a data set of image files, such as mmpretrain.CustomDataset.'
        )
    root = os.path.join(getattr(dataset, 'data_root', '') or '', '')
    names = hashlib.sha256('\n'.join(path.removeprefix(root) for path in paths).encode(errors='surrogateescape'))
    sizes = [_size(dataset.get_data_info(i)) for i in spread(range(len(paths)), _SURVEYED)]
    return dict(
        count=len(paths),
        names=names.hexdigest()[:16],
        sizes=hashlib.sha256(repr(sizes).encode()).hexdigest()[:16],
    )


def _size(info: dict) -> int:
    """Return a file's size; 0 for a remote file (to read its size takes long), and for a missing one (a bad image)."""
    if member := info.get('member'):
        return member.size
    return os.path.getsize(info['img_path']) if os.path.exists(info['img_path']) else 0


def file_digest(path: str, member: Optional[Member] = None) -> int:
    """Compute a digest of an image file, which shows changes of its content, also at the same size.

    Args:
        path (str): The file.
        member (Member, optional): Its place in a shard. Defaults to None: it is a file of its own.

    Returns:
        int: CRC-32 of its bytes; 0 for anything but a local file, such as an image behind a URL.
    """
    if member:
        return zlib.crc32(member.read())
    digest = 0
    if os.path.isfile(path):  # neither missing nor a pipe, which would block forever
        with open(path, 'rb') as file:
            while part := file.read(_PART):
                digest = zlib.crc32(part, digest)
    return digest


def probe_views(views: Sized, augmentation: Optional[dict] = None) -> list[dict]:
    """Take some pixels of a few finished views; a replay has to give about the same pixels.

    Args:
        views (SeededViews): The views; bad images are skipped.
        augmentation (dict, optional): Of the data preprocessor, which finishes the views. Defaults to None.

    Returns:
        List[dict]: ``row``, ``file`` (digest of the image's file) and ``view`` (16 x 16 of its pixels, RGB, in hex),
        evenly spread over the images and over their views.
    """
    # Not over the rows: with 15 views, nearly all would be of the last image.
    counts = views.num_views, views.num_images
    chosen = zip(*(np.linspace(0, count - 1, _PROBED).astype(int).tolist() for count in counts))
    finish = _finishing(augmentation)
    return [_probe(views, view, image, finish) for view, image in dict.fromkeys(chosen)]


def _probe(views: Sized, view: int, image: int, finish: Callable[[dict], np.ndarray]) -> dict:
    good = views.bad_images.first_good(
        lambda place: dict(views.replay(view, place), place=place), image, views.num_images, {}
    )
    row = view * views.num_images + good['place']
    return dict(row=row, file=good['data_samples'].file_digest, view=finish(good).tobytes().hex())


def difference_of_views(told: dict, views: Sized, augmentation: Optional[dict] = None) -> str:
    """Replay probed views and compare them, with a tolerance for differences between processors and decoders.

    Args:
        told (dict): Description of a store, with ``probes`` and ``libraries``.
        views (SeededViews): The views on this machine.
        augmentation (dict, optional): Of the data preprocessor here. Defaults to None.

    Returns:
        str: The view that differs, by how much, and which libraries differ; empty if no view does.
    """
    finish = _finishing(augmentation)
    for probe in told['probes']:
        if fault := _fault_of(probe, views, finish):
            here = libraries()
            found = [
                difference(told['libraries'].get(name), here.get(name), f'library.{name}')
                for name in sorted({*told['libraries'], *here})
            ]
            known = ', '.join(filter(None, found)) or 'the versions of the libraries are equal; their builds may differ'
            return f'replayed views have other pixels than stored ones ({known}): {fault}'
    return ''


def _fault_of(probe: dict, views: Sized, finish: Callable[[dict], np.ndarray]) -> str:
    row = probe['row']
    if row >= len(views):
        return f'there is no view {row}'
    if 'pixels' in probe:  # format 1: a digest of the unfinished view, without a tolerance
        return '' if _pixels(views[row]) == probe['pixels'] else f'{views.name_of(row)}; or the image was changed'
    try:
        sample = views.replay(*divmod(row, views.num_images))
    except MMLGDError:  # the image is bad now: the data set handles it when it loads it
        return ''
    if sample['data_samples'].file_digest != probe['file']:
        return ''  # the file has changed: the data set handles that as well
    stored, here = np.frombuffer(bytes.fromhex(probe['view']), np.uint8), finish(sample).ravel()
    if stored.shape != here.shape:
        return f'{views.name_of(row)} has another size'
    mean = np.abs(stored.astype(int) - here).mean()
    if mean <= _GREY_LEVELS:
        return ''
    return (
        f'{views.name_of(row)} by {mean:.1f} of 255 grey levels on average; other processors and decoders differ by '
        f'{_GREY_LEVELS:g} at most'
    )


def _finishing(augmentation: Optional[dict]) -> Callable[[dict], np.ndarray]:
    """Make a function from a sample to some pixels that student and teacher see, before the student's mean and std."""
    settings = dict(type='mmlgd.PretrainDataPreprocessor', to_rgb=True, augmentation=augmentation)
    preprocess = build_part(settings, 'model.data_preprocessor')

    def finish(sample: dict) -> np.ndarray:
        batch = {key: sample[key][None] for key in ('inputs', 'augmentation_noise') if key in sample}
        view = preprocess(batch, training=True)['inputs'][0]  # (3, H, W) RGB, 0..255
        # Single pixels, because means over parts of the view would hide a blur.
        rows, columns = (spread(range(side), _POINTS) for side in view.shape[1:])
        return view[:, rows][:, :, columns].round().clamp(0, 255).to(torch.uint8).numpy()

    return finish


def _pixels(sample: dict) -> str:
    digest = hashlib.sha256()
    for key in ('inputs', 'augmentation_noise'):
        if key in sample:
            digest.update(torch.as_tensor(sample[key]).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def libraries() -> dict:
    """Return the versions of the libraries that decode and augment images here."""
    found = dict(python=platform.python_version())
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def difference(stored: Any, here: Any, where: str = '') -> str:
    """Find the first place where two plain structures differ; a key that one of them lacks counts as None.

    Args:
        stored (Any): Of the store.
        here (Any): Of this run.
        where (str): Name of the structures, for the message.

    Returns:
        str: What differs and how, empty if nothing does.

    Examples:
        >>> difference(dict(views=4), dict(views=8), 'store')
        'store.views is 4 in the store and 8 here'
    """
    if isinstance(stored, dict) and isinstance(here, dict):
        pairs = [(f'{where}.{key}', stored.get(key), here.get(key)) for key in sorted({*stored, *here})]
    elif isinstance(stored, list) and isinstance(here, list) and len(stored) == len(here):
        pairs = [(f'{where}[{k}]', *pair) for k, pair in enumerate(zip(stored, here))]
    else:
        return '' if stored == here else f'{where} is {stored!r} in the store and {here!r} here'
    return next(filter(None, (difference(theirs, ours, name) for name, theirs, ours in pairs)), '')
