"""Fonts for names in any script, such as Chinese, where one of this machine has their characters."""

import logging
from collections.abc import Iterable
from functools import cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text
from mmengine.logging import print_log


def choose_fonts(figure: Figure) -> str:
    """Give the texts of a figure further fonts, where matplotlib's own font lacks their characters.

    Args:
        figure (Figure): The figure, before it is drawn; its texts are changed.

    Returns:
        str: The characters that no font of this machine has; a figure shows boxes in their place, and the log says so.

    Examples:
        >>> choose_fonts(Figure())
        ''
    """
    texts = figure.findobj(Text)
    lacking = {one for text in texts for one in text.get_text() if one.isprintable()}
    lacking -= _characters(findfont(FontProperties()))
    foreign = [text for text in texts if lacking & set(text.get_text())]
    families = []
    while lacking:
        family, has = max(_regular_fonts(), key=lambda font: len(font[1] & lacking))
        if not has & lacking:
            break
        families.append(family)
        lacking -= has
    if families:
        for text in foreign:
            text.set_fontfamily([*text.get_fontfamily(), *families])
    if lacking:
        print_log(
            f'No font here has {"".join(sorted(lacking)[:20])!r} ({len(lacking)} characters): the figure has boxes in '
            f'their place. Install a font that has them, such as Noto Sans CJK for Chinese, Japanese and Korean.',
            'current',
            level=logging.WARNING,
        )
    return ''.join(sorted(lacking))


@cache
def _characters(file: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, get_font(file).get_charmap()))
    except (OSError, RuntimeError):  # matplotlib's list of fonts may be older than this machine's fonts
        return frozenset()


def _regular_fonts() -> Iterable[tuple[str, frozenset[str]]]:
    """Families by name, so that ties are the same everywhere, without the font that draws a box for everything."""
    fonts = sorted((font.name, font.fname) for font in fontManager.ttflist if font.style == 'normal')
    return ((name, _characters(file)) for name, file in fonts if not name.startswith('Last Resort'))
