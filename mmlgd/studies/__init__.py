"""Comparisons over seeds: of starts of one downstream run, and of recipes of pre-training."""

from .compare import compare
from .study import study

__all__ = ['compare', 'study']
