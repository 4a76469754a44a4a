"""Finds out what a folder is."""

from pathlib import Path
from typing import NamedTuple, Union

from pydantic import BaseModel

from mmlgd.errors import ConfigError, MissingFileError, shown
from mmlgd.utils.files import read_small

from .results import Comparison, Evaluation, Study, read_result
from .training import CONFIGS, Training, read_training


class Result(NamedTuple):
    """A folder of results, with what is in it: :class:`Evaluation`, :class:`Comparison` or :class:`Study`."""

    folder: Path
    found: BaseModel


def read_folder(folder: Path) -> Union[Training, Result]:
    """Read a folder that one of our commands has written.

    Args:
        folder (Path): A work dir of pre-training, or a folder of ``mmlgd evaluate``, ``compare`` or ``study``.

    Returns:
        Training | Result: What it is.

    Raises:
        MissingFileError: There is no such folder.
        ConfigError: It is none of these.
    """
    if not folder.is_dir():
        raise MissingFileError(f'There is no folder at {shown(folder)}. Give the work dir of a run.')
    table, study = folder / 'table.json', folder / 'study.json'
    if study.is_file():
        return Result(folder, read_result(study, Study))
    if table.is_file():
        kind = Evaluation if b'"results"' in read_small(table) else Comparison
        return Result(folder, read_result(table, kind))
    if any(folder.glob(CONFIGS)):
        return read_training(folder)
    raise ConfigError(
        f'{shown(folder)} is no folder that a report knows. Expected the work dir of `mmlgd pretrain` (with '
        f'*/vis_data/config.py), or a folder of `mmlgd evaluate` or `mmlgd compare` (with table.json) or of `mmlgd '
        f'study` (with study.json).'
    )
