"""Converters: export and publish students, and convert other weights into ours."""

from .conversions import convert
from .exports import export
from .publishing import publish
from .written import Written

__all__ = ['Written', 'convert', 'export', 'publish']
