"""Places of teachers: what a tower says about each position of its last feature map, family by family."""

from .classifiers import classifier_places
from .clip import open_clip_places

__all__ = ['classifier_places', 'open_clip_places']
