"""Converters: export and publish students, and convert other weights into ours.

Import each function's module where it is used: it needs no torch, so that help is quick.
"""

from .written import Written

__all__ = ['Written']
