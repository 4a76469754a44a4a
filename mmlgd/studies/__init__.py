"""Comparisons over seeds: starts of a downstream run, with a verdict, and recipes of pre-training."""

from .compare import compare
from .prove import prove
from .study import study

__all__ = ['compare', 'prove', 'study']
