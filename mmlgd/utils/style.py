"""The look of every figure: colours that mean the same everywhere, and matplotlib's settings."""

STUDENT, TEACHER, TEXT, INK, FAINT = '#0b7a75', '#d1782c', '#6c5fc7', '#22252b', '#8a8f98'
RIGHT, WRONG = '#1a7f37', '#c62828'
NAVY = '#12355b'  # lost on a dark page
# For up to twelve classes: dark enough for white text, and different for most kinds of colour vision.
CLASSES = (
    *('#1f77b4', '#d9730d', '#2a8f3c', '#c62f3a', '#7d55b4', '#7a4a3f'),
    *('#d0559f', '#5a6270', '#9a9a10', '#0f97a8', NAVY, '#e0a100'),
)
STYLE = {
    'font.size': 11,
    'text.color': INK,
    'text.parse_math': False,  # names come from files, so $ must not start a formula
    'axes.labelcolor': INK,
    'axes.edgecolor': '#c9ccd1',
    'axes.titlesize': 12.5,
    'axes.titleweight': 'bold',
    'axes.titlelocation': 'left',
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'axes.axisbelow': True,
    'grid.color': '#eceef1',
    'xtick.color': '#565b64',
    'ytick.color': '#565b64',
    'legend.frameon': False,
    'figure.dpi': 130,
    'savefig.bbox': 'tight',
    'savefig.pad_inches': 0.2,
}


def clipped(name: str, length: int = 32) -> str:
    """Shorten a name that would leave no room for the figure.

    Args:
        name (str): A class name.
        length (int): Characters. Defaults to 32.

    Returns:
        str: The name, or its beginning and an ellipsis.

    Examples:
        >>> clipped('red panda'), clipped('red panda', 6)
        ('red panda', 'red p…')
    """
    return name if len(name) <= length else f'{name[: length - 1]}…'
