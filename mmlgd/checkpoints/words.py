"""Words in a state dict: as a tensor, so that all that copies, sends and saves tensors takes them along."""

import json
from typing import Any

import torch
from torch import Tensor

from mmlgd.utils.files import SMALL


def tensor_of(words: dict[str, Any]) -> Tensor:
    """Write names and texts as a tensor.

    Args:
        words (dict): What JSON can write.

    Returns:
        Tensor: (bytes,) uint8, the JSON of it.

    Examples:
        >>> from mmlgd.checkpoints.words import tensor_of, words_of
        >>> words_of(tensor_of(dict(class_names=['Köln'])))
        {'class_names': ['Köln']}
    """
    return torch.frombuffer(bytearray(json.dumps(words).encode()), dtype=torch.uint8)


def words_of(value: Any) -> dict[str, Any]:
    """Read the words of a state dict, which may be somebody else's.

    Args:
        value (Any): Of :func:`tensor_of`; or the dict itself, as checkpoints before November 2026 have it.

    Returns:
        dict: What is in it, not checked any further. Empty if it is no such thing.
    """
    if isinstance(value, Tensor):
        is_text = value.dtype == torch.uint8 and value.layout == torch.strided and value.numel() <= SMALL
        try:
            value = json.loads(value.cpu().numpy().tobytes().decode()) if is_text else None
        except (ValueError, RecursionError):
            value = None
    return value if isinstance(value, dict) else {}
