"""What a page is made of. The template knows each kind; nothing here is HTML yet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Optional


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = 'text'
    text: str


@dataclass(frozen=True)
class Heading:
    """The name of what follows, where a section is about several folders."""

    kind: ClassVar[str] = 'heading'
    text: str


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its head.

    Attributes:
        head (Sequence[str]): Titles of the columns; empty for a list of facts.
        rows (Sequence[Sequence[str]]): The cells.
        note (str): A line below it.
    """

    kind: ClassVar[str] = 'table'
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ''


@dataclass(frozen=True)
class Chart:
    """A chart of plotly.

    Attributes:
        title (str): Its title.
        figure (str): Its JSON, from :mod:`~mmlgd.pages.charts`.
        wide (bool): Whether it takes the whole width. Defaults to False: two stand side by side.
    """

    kind: ClassVar[str] = 'chart'
    title: str
    figure: str
    wide: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        source (str): A data URI, from :func:`~mmlgd.pages.pictures.jpeg`.
        title (str): What it is, such as a file's name.
        lines (Sequence[str]): What is said about it.
        truth (Tuple[bool, str], optional): Whether its answer is right, and the line that says so. Defaults to None: it
            has no label.
        legend (Sequence[Tuple[str, str]]): Colours of CSS in it, empty for none, and what they stand for.
    """

    source: str
    title: str
    lines: Sequence[str] = ()
    truth: Optional[tuple[bool, str]] = None
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Pictures:
    """Small pictures side by side, or wide ones below each other."""

    kind: ClassVar[str] = 'pictures'
    title: str
    pictures: Sequence[Picture]
    wide: bool = False


@dataclass(frozen=True)
class Code:
    """Commands or a file, as they are.

    Attributes:
        lines (Sequence[str]): The lines.
        title (str): Of a file, which is folded away. Defaults to '': not folded.
    """

    kind: ClassVar[str] = 'code'
    lines: Sequence[str]
    title: str = ''


@dataclass
class Section:
    """A section of a page; without blocks it is left out."""

    title: str
    blocks: list = field(default_factory=list)
