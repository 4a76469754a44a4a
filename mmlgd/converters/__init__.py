"""Weights out and in: a student for other libraries and other people, the weights of others as ours."""

from .conversions import convert
from .exports import export
from .publishing import publish
from .written import Written

__all__ = ['Written', 'convert', 'export', 'publish']
