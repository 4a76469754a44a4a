"""Overlays: an image under the colours of its names, with a legend beside it."""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmlgd.text import phrasings
from mmlgd.utils.colors import distinct_colors
from mmlgd.utils.style import FAINT, INK, clipped

from .segment import IGNORED, Segmentation

_OPACITY = 0.55
_LEAST, _MOST = 360, 1600  # pixels of the long side of the image in an overlay
_LINE = 24  # height of a legend's line, at a font of 14 pixels
_FONT = Path(matplotlib.get_data_path(), 'fonts/ttf/DejaVuSans.ttf')


def palette(names: int) -> np.ndarray:
    """Choose the colours of a label map.

    Args:
        names (int): K.

    Returns:
        np.ndarray: (256, 3) uint8, RGB: the colours of K names, and black, also for label 255.
    """
    colors = np.zeros((256, 3), dtype=np.uint8)
    colors[:names] = distinct_colors(names)
    return colors


def overlay(image: np.ndarray, found: Segmentation) -> Image.Image:
    """Draw the names of an image over it, with a legend of the names that are there, largest first.

    Pixels without a name stay as they are. A small image is enlarged, and a large one reduced: the legend has one size.

    Args:
        image (ndarray): (H, W, 3) in BGR order.
        found (Segmentation): Its names.

    Returns:
        PIL.Image.Image: The drawing, RGB.
    """
    height, width = image.shape[:2]
    scale = min(max(1.0, _LEAST / max(height, width)), _MOST / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    labels = np.asarray(Image.fromarray(found.labels.numpy()).resize(size, Image.Resampling.NEAREST))
    pixels = Image.fromarray(np.ascontiguousarray(image[..., ::-1]).astype(np.uint8)).resize(size)
    drawn = _blended(np.asarray(pixels), labels, palette(len(found.names)))
    return _beside(Image.fromarray(drawn), found)


def _blended(pixels: np.ndarray, labels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Mix pixels with the colours of their labels; white lines divide the labels."""
    named = (labels != IGNORED)[..., None]
    mixed = np.where(named, (1 - _OPACITY) * pixels + _OPACITY * colors[labels], pixels)
    edge = np.zeros(labels.shape, dtype=bool)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    mixed[edge] = 255
    return mixed.round().astype(np.uint8)


def _beside(drawn: Image.Image, found: Segmentation) -> Image.Image:
    """Put a legend to the right of a drawing: a line for each name, and what does not fit as one line."""
    font = ImageFont.truetype(str(_FONT), 14)
    shares = found.shares()
    lines = [(found.names.index(name), clipped(phrasings(name)[0], 24), share) for name, share in shares]
    rest = 1 - sum(share for _, share in shares)
    if rest > 1e-9:
        lines.append((None, 'no name', rest))
    fitting = max(1, (drawn.height - 16) // _LINE)
    if len(lines) > fitting:
        hidden = lines[fitting - 1 :]
        lines = [*lines[: fitting - 1], (None, f'{len(hidden)} more', sum(share for *_, share in hidden))]
    text = max(font.getlength(name) for _, name, _ in lines)
    panel = round(12 + 16 + 8 + text + 16 + font.getlength('100 %') + 12)
    canvas = Image.new('RGB', (drawn.width + panel, max(drawn.height, 16 + _LINE)), 'white')
    canvas.paste(drawn)
    pen, colors = ImageDraw.Draw(canvas), palette(len(found.names))
    for i, (k, name, share) in enumerate(lines):
        left, middle = drawn.width + 12, 8 + _LINE * i + _LINE // 2
        if k is not None:
            pen.rounded_rectangle([left, middle - 8, left + 16, middle + 8], 3, fill=tuple(colors[k].tolist()))
        pen.text((left + 24, middle), name, INK if k is not None else FAINT, font, anchor='lm')
        shown = f'{100 * share:.0f} %' if share >= 0.005 else '< 1 %'
        pen.text((canvas.width - 12, middle), shown, FAINT, font, anchor='rm')
    return canvas
