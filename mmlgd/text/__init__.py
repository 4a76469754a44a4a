"""Text: vocabularies, prompt templates and their text embeddings."""

from .class_folders import classes_of, folders_in_order, in_order, misplaced
from .embedding import embed_class_names, keep_embeddings
from .phrasings import joined, phrasings
from .sets import list_vocabularies
from .templates import DEFAULT_TEMPLATES, TemplateError, fill, load_templates
from .vocabularies import VocabularyError, counted, listed, load_vocabulary

__all__ = [
    'DEFAULT_TEMPLATES',
    'TemplateError',
    'VocabularyError',
    'classes_of',
    'counted',
    'embed_class_names',
    'fill',
    'folders_in_order',
    'in_order',
    'joined',
    'keep_embeddings',
    'list_vocabularies',
    'listed',
    'load_templates',
    'load_vocabulary',
    'misplaced',
    'phrasings',
]
