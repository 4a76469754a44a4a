"""Figures: maps of embeddings, banks, and nearest names."""

from .banks import draw_banks
from .maps import draw_map
from .neighbours import draw_neighbours

__all__ = ['draw_banks', 'draw_map', 'draw_neighbours']
