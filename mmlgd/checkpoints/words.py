"""Texts in a state dict, stored as a tensor: code that copies, sends or saves tensors then includes them."""

import json
from typing import Any

import torch
from torch import Tensor

from mmlgd.utils.files import SMALL


def tensor_of(words: dict[str, Any]) -> Tensor:
    """Write names and texts as a tensor.

    Args:
        words (dict): Anything that JSON can write.

    Returns:
        Tensor: (bytes,) uint8, the JSON of it.

    Examples:
        >>> from mmlgd.checkpoints.words import tensor_of, words_of
        >>> words_of(tensor_of(dict(class_names=['Köln'])))
        {'class_names': ['Köln']}
    """
    return torch.frombuffer(bytearray(json.dumps(words).encode()), dtype=torch.uint8)


def words_of(value: Any) -> dict[str, Any]:
    """Read the texts of a state dict, which may come from an untrusted file.

    Args:
        value (Any): Of :func:`tensor_of`; or the dict itself, as checkpoints before November 2026 have it.

    Returns:
        dict: Its content, not checked any further. Empty if the value is neither.
    """
    if isinstance(value, Tensor):
        is_text = value.dtype == torch.uint8 and value.layout == torch.strided and value.numel() <= SMALL
        try:
            value = json.loads(value.cpu().numpy().tobytes().decode()) if is_text else None
        except (ValueError, RecursionError):
            value = None
    return value if isinstance(value, dict) else {}
