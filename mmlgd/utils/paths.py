"""The folders of the tools and configs, in the installed package or in the source tree in use; and of the cache."""

import os
from pathlib import Path

# Suffixes of the files that count as images, in lower case; ``a.JPG`` counts as well.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')
# Suffixes of other images, of phones, cameras and the web. They are not read; whoever has such files is told.
OTHER_SUFFIXES = ('.heic', '.heif', '.avif', '.jxl', '.jp2', '.jfif', '.gif', '.tga', '.dng', '.cr2', '.nef', '.arw')
# The first line of a config that `mmlgd pretrain` writes.
RECIPE_HEAD = '# Written by `mmlgd pretrain`. An ordinary config: edit it, train it by `mim train mmlgd FILE`.\n'


def place_of(name: str) -> Path:
    """Find the ``tools`` or ``configs`` that belong to the running mmlgd.

    Args:
        name (str): ``'tools'`` or ``'configs'``.

    Returns:
        Path: The folder, absolute: in ``mmlgd/.mim`` of an installed package, beside ``mmlgd`` in a source tree.

    Raises:
        FileNotFoundError: Neither folder exists.

    Examples:
        >>> (place_of('tools') / 'train.py').is_file()
        True
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / '.mim' / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f'There are no {name} in {package / ".mim"} or beside {package}: this installation of mmlgd is incomplete. '
        f'Install it again: pip install --force-reinstall --no-deps mmlgd'
    )


def cache_folder() -> Path:
    """Find the folder of what need not be computed again: text embeddings of class names, lists of images in shards.

    Returns:
        Path: ``$MMLGD_CACHE``, else ``~/.cache/mmlgd``; it need not exist.

    Examples:
        >>> cache_folder().is_absolute()
        True
    """
    return Path(os.environ.get('MMLGD_CACHE') or '~/.cache/mmlgd').expanduser()


def short_path(path: str) -> str:
    """Shorten a path as a user would type it here.

    Args:
        path (str): A path.

    Returns:
        str: Relative to the working directory; a path outside of it as it is.

    Examples:
        >>> short_path(os.path.join(os.getcwd(), 'work_dirs', 'run')), short_path('/')
        ('work_dirs/run', '/')
    """
    here = os.path.relpath(path)
    return path if here.startswith('..') else here


def is_installed() -> bool:
    """Check whether mmengine finds our configs as ``'mmlgd::...'``: it searches only an installed package.

    Returns:
        bool: False in a source tree that is only on the path.
    """
    return (Path(__file__).resolve().parents[1] / '.mim').is_dir()
