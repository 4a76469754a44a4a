"""Pages: a run and what came of it in one HTML file that loads nothing."""

from .report import report

__all__ = ['report']
