"""The rendered world that comes with mmlgd: images of coloured shapes, to try everything without a download."""

from .images import DEMO_CLASSES, render_object, render_scene
from .world import write_demo_world

__all__ = ['DEMO_CLASSES', 'render_object', 'render_scene', 'write_demo_world']
