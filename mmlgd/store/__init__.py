"""The teacher store: unit embeddings of augmented views, written once and read by any number of students."""

from .description import StoreError
from .fingerprint import difference, difference_of_views, file_digest, libraries, plain, probe_views, survey_pictures
from .layout import DESCRIPTION, TeacherStore

__all__ = [
    'DESCRIPTION',
    'StoreError',
    'TeacherStore',
    'difference',
    'difference_of_views',
    'file_digest',
    'libraries',
    'plain',
    'probe_views',
    'survey_pictures',
]
