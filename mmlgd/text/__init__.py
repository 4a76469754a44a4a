"""Text: vocabularies, prompt templates, and the embeddings that they give."""

from .embedding import embed_class_names
from .templates import TemplateError, fill, load_templates
from .vocabularies import VocabularyError, list_vocabularies, load_vocabulary

__all__ = [
    'TemplateError',
    'VocabularyError',
    'embed_class_names',
    'fill',
    'list_vocabularies',
    'load_templates',
    'load_vocabulary',
]
