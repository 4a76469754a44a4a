"""Drawings of answers: an image below its best name, or under the colours of its names with a legend beside it."""

from functools import cache
from typing import Optional

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmlgd.text import phrasings
from mmlgd.utils.colors import distinct_colors
from mmlgd.utils.fonts import Font, further_fonts, own_font
from mmlgd.utils.style import FAINT, INK, clipped

from .segment import IGNORED, Segmentation

_OPACITY = 0.55
_LEAST, _MOST = 360, 1600  # pixels of the long side of the image in an overlay
_LINE = 24  # height of a legend's line
_FEWEST = 5  # lines of a legend that there is room for beside a strip, too
_TEXT = 14  # pixels


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
    return _beside(blended(image, found), found)


def blended(image: np.ndarray, found: Segmentation) -> Image.Image:
    """Draw the names of an image over it, without a legend.

    Args:
        image (ndarray): (H, W, 3) in BGR order.
        found (Segmentation): Its names.

    Returns:
        PIL.Image.Image: The drawing, RGB.
    """
    pixels = _sized(image)
    labels = np.asarray(Image.fromarray(found.labels.numpy()).resize(pixels.size, Image.Resampling.NEAREST))
    return Image.fromarray(_mixed(np.asarray(pixels), labels, palette(len(found.names))))


def legend(found: Segmentation, most: int) -> list[tuple[Optional[int], str, str]]:
    """List the names of an image, largest first.

    Args:
        found (Segmentation): Its names.
        most (int): Lines, at most; the last one then stands for all that do not fit.

    Returns:
        List[Tuple[int | None, str, str]]: For each line the label, the name, and its share of the pixels in words. The
        label is None for pixels without a name and for names that do not fit.
    """
    shares = found.shares()
    lines = [(found.names.index(name), clipped(phrasings(name)[0], 24), share) for name, share in shares]
    rest = 1 - sum(share for _, share in shares)
    if rest > 1e-9:
        lines.append((None, 'no name', rest))
    if len(lines) > most:
        hidden = lines[most - 1 :]
        lines = [*lines[: most - 1], (None, f'{len(hidden)} more', sum(share for *_, share in hidden))]
    return [(k, name, f'{100 * share:.0f} %' if share >= 0.005 else '< 1 %') for k, name, share in lines]


def captioned(image: np.ndarray, names: list[str], best: int, score: float) -> Image.Image:
    """Write the best name of an image and its score above it, of the size that overlays have.

    Args:
        image (ndarray): (H, W, 3) in BGR order.
        names (List[str]): Class names; of several phrasings, the first is written.
        best (int): Label of the best one.
        score (float): Its score.

    Returns:
        PIL.Image.Image: The drawing, RGB.
    """
    drawn, fonts = _sized(image), _fonts(tuple(names))
    name, value = clipped(phrasings(names[best])[0], 40), f'{score:.2f}'
    of_name, of_value = _font(name, fonts), _font(value, fonts)
    left = 12 + of_name.getlength(name) + 10
    width = max(drawn.width, round(left + of_value.getlength(value) + 12))
    canvas = Image.new('RGB', (width, drawn.height + 32), 'white')
    canvas.paste(drawn, (0, 32))
    pen = ImageDraw.Draw(canvas)
    pen.text((12, 16), name, INK, of_name, anchor='lm')
    pen.text((left, 16), value, FAINT, of_value, anchor='lm')
    return canvas


def _sized(image: np.ndarray) -> Image.Image:
    height, width = image.shape[:2]
    scale = min(max(1.0, _LEAST / max(height, width)), _MOST / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(np.ascontiguousarray(image[..., ::-1]).astype(np.uint8)).resize(size)


@cache
def _fonts(names: tuple[str, ...]) -> list[Font]:
    """Find the fonts of all names at once: a warning of characters without one then comes once."""
    return [own_font(), *further_fonts(phrasings(name)[0] for name in names)[0]]


def _font(text: str, fonts: list[Font]) -> ImageFont.FreeTypeFont:
    """Choose the font that has most characters of a text: Pillow writes it in one."""
    best = max(fonts, key=lambda font: sum(one in font.has for one in text))
    return ImageFont.truetype(best.file, _TEXT)


def _mixed(pixels: np.ndarray, labels: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Mix pixels with the colours of their labels; white lines divide the labels."""
    named = (labels != IGNORED)[..., None]
    mixed = np.where(named, (1 - _OPACITY) * pixels + _OPACITY * colors[labels], pixels)
    edge = np.zeros(labels.shape, dtype=bool)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    mixed[edge] = 255
    return mixed.round().astype(np.uint8)


def _beside(drawn: Image.Image, found: Segmentation) -> Image.Image:
    """Put a legend to the right of a drawing."""
    fonts = _fonts(tuple(found.names))
    lines = legend(found, max(_FEWEST, (drawn.height - 16) // _LINE))
    own = _font('100 %', fonts)
    text = max(_font(name, fonts).getlength(name) for _, name, _ in lines)
    panel = round(12 + 16 + 8 + text + 16 + own.getlength('100 %') + 12)
    canvas = Image.new('RGB', (drawn.width + panel, max(drawn.height, 16 + _LINE * len(lines))), 'white')
    canvas.paste(drawn)
    pen, colors = ImageDraw.Draw(canvas), palette(len(found.names))
    for i, (k, name, share) in enumerate(lines):
        left, middle = drawn.width + 12, 8 + _LINE * i + _LINE // 2
        if k is not None:
            pen.rounded_rectangle([left, middle - 8, left + 16, middle + 8], 3, fill=tuple(colors[k].tolist()))
        pen.text((left + 24, middle), name, INK if k is not None else FAINT, _font(name, fonts), anchor='lm')
        pen.text((canvas.width - 12, middle), share, FAINT, own, anchor='rm')
    return canvas
