"""Data sets: which files are images and whole ones, and how they are read."""

from .collate import default_collate
from .crop import RandomResizedCrop
from .loading import BadPictureError, LoadImageFromFile
from .pictures import Pictures, TooManyBadPicturesError
from .workers import keep_torch_seeds

__all__ = [
    'BadPictureError',
    'LoadImageFromFile',
    'Pictures',
    'RandomResizedCrop',
    'TooManyBadPicturesError',
    'default_collate',
    'keep_torch_seeds',
]
