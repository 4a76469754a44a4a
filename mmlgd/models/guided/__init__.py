"""A teacher that stays on while a model of OpenMMLab is fine-tuned."""

from .guide import Guide
from .model import Guided, unguided

__all__ = ['Guide', 'Guided', 'unguided']
