"""Teachers in open_clip's folder layout, on disk or in a repository: untrusted settings, checked first."""

import os
from dataclasses import fields
from numbers import Real
from pathlib import Path
from typing import Any, Optional

import timm
from open_clip.coca_model import MultimodalCfg
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from open_clip.pretrained import download_pretrained_from_hf
from open_clip.transform import PreprocessCfg

from mmlgd.errors import MissingFileError, brief, sentence
from mmlgd.utils.validation import listed

from .base import TeacherError
from .foreign import foreign_code, read_settings, refuse_code
from .hub import found_without_host

CONFIG = 'open_clip_config.json'


def _plain(*names: str) -> dict:
    return dict.fromkeys(names)


def _fields(kind: type) -> dict:
    return _plain(*(field.name for field in fields(kind)))


# The allowed settings by key; all others are refused by name. Tokenizer settings could also name files and code.
_LAYERS = dict(act_kwargs=_plain('approximate'), norm_kwargs=_plain('eps', 'elementwise_affine', 'bias'))
_KNOWN = dict(
    preprocess_cfg=_fields(PreprocessCfg),
    model_cfg=dict(
        _plain('embed_dim', 'quick_gelu', 'custom_text', 'nonscalar_logit_scale'),
        **_plain('init_logit_scale', 'init_logit_bias'),
        vision_cfg=dict(_fields(CLIPVisionCfg), **_LAYERS),
        text_cfg=dict(_fields(CLIPTextCfg), **_LAYERS, tokenizer_kwargs=_plain('clean', 'strip_sep_token', 'language')),
        multimodal_cfg=dict(_fields(MultimodalCfg), **_LAYERS, tokenizer_kwargs={}),
    ),
)


def open_folder(model: str, cache_dir: Optional[str] = None) -> tuple[Path, dict]:
    """Find the folder of a teacher and check its settings, before any library reads them.

    Args:
        model (str): ``'local-dir:FOLDER'``, or ``'hf-hub:ORG/NAME'``, whose settings and weights are downloaded.
        cache_dir (str, optional): Folder of downloads. Defaults to None, the Hugging Face cache.

    Returns:
        Tuple[Path, dict]: The folder, and its ``model_cfg``.

    Raises:
        MissingFileError: There is no such folder, or no such repository.
        TeacherError: The settings are damaged, or ask for code.
    """
    scheme, _, place = model.partition(':')
    if scheme == 'local-dir':
        folder = Path(place)
        if not os.path.isfile(folder / CONFIG):
            raise MissingFileError(
                f'Expected an open_clip folder at {place!r}, found no open_clip_config.json in it. Give the folder '
                f'that holds open_clip_config.json and open_clip_model.safetensors.'
            )
        return folder, check_folder(folder)
    if scheme != 'hf-hub' or not place:
        raise TeacherError(f"Expected 'local-dir:FOLDER' or 'hf-hub:ORG/NAME', got {model!r}.")
    try:
        file = found_without_host(place, CONFIG, cache_dir=cache_dir)
        folder = Path(file or download_pretrained_from_hf(place, filename=CONFIG, cache_dir=cache_dir)).parent
        settings = check_folder(folder)
        # Download from the commit that was checked: another one may be pushed in between.
        download_pretrained_from_hf(place, revision=folder.name, cache_dir=cache_dir)
    except OSError as error:
        raise MissingFileError(
            f'Could not get {model!r}: {sentence(error)} Download the repository on a machine with a network and '
            f"give it as model='local-dir:/path/to/folder'."
        ) from error
    return folder, settings


def check_folder(folder: Path) -> dict:
    """Read ``open_clip_config.json`` and refuse all settings except the few of towers and pixels.

    Args:
        folder (Path): The teacher's folder.

    Returns:
        dict: Its ``model_cfg``.

    Raises:
        TeacherError: A setting is unknown, or would run code; the message names it.
    """
    config = read_settings(folder / CONFIG)
    _check(config, _KNOWN, folder)
    model = config.get('model_cfg') or {}
    if missing := [part for part in ('embed_dim', 'vision_cfg', 'text_cfg') if model.get(part) is None]:
        raise TeacherError(f'{folder / CONFIG} is damaged: its model_cfg has no {missing[0]}.')
    tower = model['vision_cfg'].get('timm_model_name')
    if tower and not timm.is_model(str(tower)):
        raise foreign_code(folder, f'model_cfg.vision_cfg.timm_model_name={tower!r}', 'which is not a model of timm')
    refuse_code(folder)
    return model


def _check(settings: Any, known: dict[str, Optional[dict]], folder: Path, where: str = '') -> None:
    """Check keys against the known ones; values must be numbers, strings, lists of these, or nested settings."""
    if not isinstance(settings, dict):
        raise TeacherError(f'{folder / CONFIG} is damaged: {where[:-1] or "it"} is a {type(settings).__name__}.')
    for key, value in settings.items():
        if key not in known:
            raise TeacherError(
                f'{folder / CONFIG} has the setting {where}{key}={brief(value)!r}, which is not a known setting of '
                f'towers and pixels. Unknown settings are refused because some of them run code. Remove it if you '
                f'know what it does.'
            )
        if known[key] is not None and value is not None:
            _check(value, known[key], folder, f'{where}{key}.')
        elif not all(one is None or isinstance(one, (Real, str)) for one in listed(value)):
            raise TeacherError(f'{folder / CONFIG} has {where}{key}={brief(value)!r}, expected a plain value.')
