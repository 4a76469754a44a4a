"""Data that comes with the package."""

from .collate import default_collate
from .crop import RandomResizedCrop
from .demo_pictures import DEMO_CLASSES, render_object, render_scene
from .demo_world import write_demo_world

__all__ = [
    'DEMO_CLASSES',
    'RandomResizedCrop',
    'default_collate',
    'render_object',
    'render_scene',
    'write_demo_world',
]
