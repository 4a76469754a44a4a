"""Figures whose names may be in any script."""

from matplotlib.figure import Figure
from matplotlib.text import Text

from mmlgd.utils.fonts import further_fonts, own_font


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
    texts, own = figure.findobj(Text), own_font().has
    fonts, lacking = further_fonts(text.get_text() for text in texts)
    for text in texts:
        if fonts and any(one.isprintable() and one not in own for one in text.get_text()):
            text.set_fontfamily([*text.get_fontfamily(), *(font.family for font in fonts)])
    return lacking
