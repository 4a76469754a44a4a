"""Engine: what mmlgd adds to mmengine, checks before the first step and a registration."""

from .annotation_hook import AnnotationCheckHook
from .pretrained_hook import PretrainedCheckHook
from .registration import register_with_mmengine
from .vocabulary_hook import VocabularyCheckHook

__all__ = ['AnnotationCheckHook', 'PretrainedCheckHook', 'VocabularyCheckHook', 'register_with_mmengine']
