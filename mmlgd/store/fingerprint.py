"""What makes two runs see the same views: the pictures, the augmentation, the libraries, and a few pixels as proof."""

import hashlib
import json
import os
import platform
from collections.abc import Sized
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch

from mmlgd.errors import ConfigError

_SURVEYED = 1000  # pictures whose size is looked at
_PROBED = 4  # views whose pixels are compared
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
    """Reduce a config to what JSON has, so that a stored one and a fresh one compare.

    Args:
        value (Any): A config or part of one.

    Returns:
        Any: Dicts with string keys, lists, strings, numbers, booleans, None; anything else as its ``repr``.

    Examples:
        >>> plain(dict(scale=(0.2, 1.0)))
        {'scale': [0.2, 1.0]}
    """
    return json.loads(json.dumps(value, default=repr))


def survey_pictures(dataset: Sized) -> dict:
    """Describe the pictures of a data set: how many, which, and the sizes of some of their files.

    Args:
        dataset (Dataset): Of mmengine's kind, with an ``img_path`` in each ``get_data_info``.

    Returns:
        dict: ``count``, ``names`` (a digest of the paths below ``data_root``) and ``sizes`` (a digest of the file sizes
        of 1000 pictures, evenly spread).

    Raises:
        ValueError: The data set does not say where its pictures are.
    """
    paths = [dataset.get_data_info(i).get('img_path') for i in range(len(dataset))]
    if not paths or not all(isinstance(path, str) for path in paths):
        raise ConfigError(
            f'{type(dataset).__name__} has no file for each of its {len(paths)} pictures (img_path), by which a '
            f'teacher store knows them. Give a data set of picture files, as mmpretrain.CustomDataset.'
        )
    root = os.path.join(getattr(dataset, 'data_root', '') or '', '')
    names = hashlib.sha256('\n'.join(path.removeprefix(root) for path in paths).encode(errors='surrogateescape'))
    some = np.linspace(0, len(paths) - 1, min(len(paths), _SURVEYED)).astype(int)
    sizes = [_size(paths[i]) for i in some]
    return dict(
        count=len(paths),
        names=names.hexdigest()[:16],
        sizes=hashlib.sha256(repr(sizes).encode()).hexdigest()[:16],
    )


def _size(path: str) -> int:
    """Of a file; one that is remote has no cheap size, and one that is missing none: it is a bad picture."""
    return os.path.getsize(path) if os.path.exists(path) else 0


def probe_views(views: Sized) -> list[dict]:
    """Take the digests of the pixels of a few views: whoever replays them has to get the same.

    Args:
        views (SeededViews): The views.

    Returns:
        List[dict]: ``row`` and ``pixels``, evenly spread over all views.
    """
    rows = np.linspace(0, len(views) - 1, min(len(views), _PROBED)).astype(int).tolist()
    return [dict(row=row, pixels=_pixels(views[row])) for row in rows]


def same_views(probes: list[dict], views: Sized) -> bool:
    """Replay probed views and compare them pixel by pixel.

    Args:
        probes (List[dict]): Of :func:`probe_views`.
        views (SeededViews): The views as they come out here.

    Returns:
        bool: Whether all are the same.
    """
    return all(_pixels(views[probe['row']]) == probe['pixels'] for probe in probes)


def _pixels(sample: dict) -> str:
    digest = hashlib.sha256()
    for key in ('inputs', 'augmentation_noise'):
        if key in sample:
            digest.update(torch.as_tensor(sample[key]).contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def libraries() -> dict:
    """Versions of what decodes and augments pictures here."""
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
