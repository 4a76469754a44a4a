"""Data sets: finding image files, checking that they are complete, and reading them."""

from .bad_images import BadImageError, TooManyBadImagesError
from .collate import default_collate
from .crop import RandomResizedCrop
from .image_shards import ImageShards
from .images import Images
from .label_sampler import LabelSampler
from .loading import LoadImageFromFile
from .variables import fill_in
from .views import pipeline_of, view_pipeline
from .workers import keep_torch_seeds

__all__ = [
    'BadImageError',
    'LabelSampler',
    'LoadImageFromFile',
    'ImageShards',
    'Images',
    'RandomResizedCrop',
    'TooManyBadImagesError',
    'default_collate',
    'fill_in',
    'keep_torch_seeds',
    'pipeline_of',
    'view_pipeline',
]
