"""Data sets: views of pictures that can be replayed, with a teacher's embeddings; and a world that comes with us."""

from .collate import default_collate
from .crop import RandomResizedCrop
from .demo_pictures import DEMO_CLASSES, render_object, render_scene
from .demo_world import write_demo_world
from .loading import BadPictureError, LoadImageFromFile
from .pictures import Pictures, TooManyBadPicturesError
from .stored_teacher import StoredTeacherDataset, ViewSampler
from .views import SeededViews
from .workers import keep_torch_seeds

__all__ = [
    'DEMO_CLASSES',
    'BadPictureError',
    'LoadImageFromFile',
    'Pictures',
    'RandomResizedCrop',
    'SeededViews',
    'StoredTeacherDataset',
    'TooManyBadPicturesError',
    'ViewSampler',
    'default_collate',
    'keep_torch_seeds',
    'render_object',
    'render_scene',
    'write_demo_world',
]
