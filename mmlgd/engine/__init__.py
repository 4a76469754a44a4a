"""Engine: the one hook that mmlgd adds to mmengine's."""

from .vocabulary_hook import VocabularyCheckHook

__all__ = ['VocabularyCheckHook']
