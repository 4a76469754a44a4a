"""The teacher store: unit embeddings of augmented views, written once and read by any number of students."""

from .fingerprint import difference, libraries, plain, probe_views, same_views, survey_pictures
from .layout import StoreError, TeacherStore

__all__ = [
    'StoreError',
    'TeacherStore',
    'difference',
    'libraries',
    'plain',
    'probe_views',
    'same_views',
    'survey_pictures',
]
