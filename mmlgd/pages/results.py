"""The tables that evaluations, comparisons and studies leave behind, checked as data from anybody."""

import re
from pathlib import Path
from typing import Annotated, Any, Optional, TypeVar, Union

from pydantic import BaseModel, Field, FiniteFloat, RootModel, ValidationError

from mmlgd.errors import ConfigError, sentence, shown
from mmlgd.utils.files import read_small

_Kind = TypeVar('_Kind', bound=BaseModel)
_Key, _Value = TypeVar('_Key'), TypeVar('_Value')
_Some = Annotated[dict[_Key, _Value], Field(min_length=1)]  # not empty, so that there is a mean


class Row(BaseModel):
    """A model of an evaluation, in per cent."""

    source: str = ''
    zero_shot: Optional[FiniteFloat]
    synonyms: Optional[FiniteFloat] = None
    own_head: Optional[FiniteFloat]
    knn: FiniteFloat
    linear: dict[str, _Some[str, FiniteFloat]]


class Evaluation(BaseModel):
    """table.json of ``mmlgd evaluate``; an earlier version did not write all of its options."""

    data: str
    folders: dict[str, str] = {}
    images: dict[str, int]
    names: Optional[list[str]]
    synonyms: Optional[list[str]] = None
    k: int
    c: Optional[FiniteFloat] = None
    size: Optional[int] = None
    backbone: Optional[str] = None
    teacher_options: list[str] = []
    notes: list[str]
    results: _Some[str, Row]


class Comparison(RootModel):
    """table.json of ``mmlgd compare``: a value by start and seed."""

    root: _Some[str, _Some[str, FiniteFloat]]


class Proof(BaseModel):
    """table.json of ``mmlgd prove``: sentences, and values by start, share of the labels in per cent, and seed.

    An earlier version did not write ``options``, which are ``cfg_options`` as words of the command.
    """

    verdict: list[str]
    notes: list[str]
    config: str
    cfg_options: dict[str, Any]
    options: Optional[list[str]] = None
    starts: dict[str, str]
    guide: Optional[str] = None
    names: Optional[Union[str, list[str]]] = None
    metric: Optional[str]
    unit: str
    figures: _Some[str, _Some[FiniteFloat, _Some[int, FiniteFloat]]]
    seconds: dict[str, dict[FiniteFloat, dict[int, Optional[FiniteFloat]]]]


class StudyRow(BaseModel):
    """A run of a study."""

    config: str
    options: list[str]


class Study(BaseModel):
    """study.json of ``mmlgd study``."""

    data: str
    store: Optional[str]
    variants: dict[str, StudyRow]
    runs: _Some[str, _Some[str, Row]]


def read_result(file: Path, kind: type[_Kind]) -> _Kind:
    """Read such a file.

    Args:
        file (Path): The JSON.
        kind (type): :class:`Evaluation`, :class:`Comparison`, :class:`Proof` or :class:`Study`.

    Returns:
        BaseModel: Its content.

    Raises:
        ConfigError: It has other content; the message says where.
        UnreadableError: It is a pipe, a device or very large.
    """
    try:
        return kind.model_validate_json(read_small(file))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = '.'.join(map(shown, first['loc'])) or 'its beginning'
        raise ConfigError(
            f'{shown(file)} is not what `{_WRITERS[kind]}` writes: {where}: {sentence(first["msg"])} Run it again, or '
            f'leave this folder out.'
        ) from error


def metric_of(table: Path) -> str:
    """Find the name of a comparison's metric, which table.json has not.

    Args:
        table (Path): table.md of ``mmlgd compare``.

    Returns:
        str: The metric in its last column; ``'value'`` if there is no such table.
    """
    text = read_small(table).decode(errors='replace') if table.is_file() else ''
    found = re.match(r'\| start \|(?:.*\|)? ([^|\n]+), (?:mean ± spread|seed \d+) \|', text)
    return found[1] if found else 'value'


_WRITERS = {Evaluation: 'mmlgd evaluate', Comparison: 'mmlgd compare', Proof: 'mmlgd prove', Study: 'mmlgd study'}
