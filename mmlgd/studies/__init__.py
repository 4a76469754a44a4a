"""Comparisons over seeds: starts of a downstream run, and recipes of pre-training."""

from .compare import compare
from .study import study

__all__ = ['compare', 'study']
