"""Engine: what mmlgd adds to mmengine, a check before the first step and a registration."""

from .registration import register_with_mmengine
from .vocabulary_hook import VocabularyCheckHook

__all__ = ['VocabularyCheckHook', 'register_with_mmengine']
