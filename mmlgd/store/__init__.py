"""The teacher store: unit embeddings of augmented views, written once and read by many students."""

from .dataset import StoredTeacherDataset, ViewSampler
from .description import StoreError
from .fingerprint import difference, difference_of_views, file_digest, libraries, plain, probe_views, survey_images
from .layout import DESCRIPTION, TeacherStore
from .teacher import CachedTeacher
from .views import SeededViews

__all__ = [
    'DESCRIPTION',
    'CachedTeacher',
    'SeededViews',
    'StoreError',
    'StoredTeacherDataset',
    'TeacherStore',
    'ViewSampler',
    'difference',
    'difference_of_views',
    'file_digest',
    'libraries',
    'plain',
    'probe_views',
    'survey_images',
]
