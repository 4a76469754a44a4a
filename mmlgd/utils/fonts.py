"""Fonts for names in any script, such as Chinese, where one of this machine has their characters."""

import logging
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager, get_font
from mmengine.logging import print_log


class Font(NamedTuple):
    """A font of this machine: its family, as matplotlib calls it, its file, and the characters that it has."""

    family: str
    file: str
    has: frozenset[str]


def own_font() -> Font:
    """Find the font that matplotlib uses if nothing else is asked for.

    Returns:
        Font: DejaVu Sans, unless this machine's settings of matplotlib have another.

    Examples:
        >>> 'ż' in own_font().has
        True
    """
    font = FontProperties()
    file = findfont(font)
    return Font(font.get_name(), file, _characters(file))


def further_fonts(texts: Iterable[str]) -> tuple[list[Font], str]:
    """Choose further fonts for texts, where matplotlib's own font lacks their characters.

    Args:
        texts (Iterable[str]): What is to be written.

    Returns:
        Tuple[List[Font], str]: The fonts, the most useful first; and the characters that no font of this machine has: a
        figure shows boxes in their place, and the log says so.

    Examples:
        >>> further_fonts(['red panda'])
        ([], '')
    """
    lacking = {one for text in texts for one in text if one.isprintable()} - own_font().has
    fonts: list[Font] = []
    while lacking:
        best = max(_regular_fonts(), key=lambda font: len(font.has & lacking))
        if not best.has & lacking:
            break
        fonts.append(best)
        lacking -= best.has
    if lacking:
        print_log(
            f'No font here has {"".join(sorted(lacking)[:20])!r} ({len(lacking)} characters): the figure has boxes in '
            f'their place. Install a font that has them, such as Noto Sans CJK for Chinese, Japanese and Korean.',
            'current',
            level=logging.WARNING,
        )
    return fonts, ''.join(sorted(lacking))


@cache
def _characters(file: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, get_font(file).get_charmap()))
    except (OSError, RuntimeError):  # matplotlib's list of fonts may be older than this machine's fonts
        return frozenset()


def _regular_fonts() -> Iterable[Font]:
    """List fonts by name, so that ties are the same everywhere, without the font that draws a box for everything.

    Of a family the plain file is first: bold ones have the same characters, and Pillow draws the file that it is given.
    """
    fonts = sorted((font.name, _distance(font), font.fname) for font in fontManager.ttflist if font.style == 'normal')
    return (Font(name, file, _characters(file)) for name, _, file in fonts if not name.startswith('Last Resort'))


def _distance(font: FontEntry) -> float:
    return fontManager.score_weight(font.weight, 'normal') + fontManager.score_stretch(font.stretch, 'normal')
