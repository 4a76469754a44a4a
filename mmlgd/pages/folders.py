"""Finds out what a folder is."""

import json
from pathlib import Path
from typing import NamedTuple, Union

from pydantic import BaseModel

from mmlgd.errors import ConfigError, MissingFileError, sentence, shown
from mmlgd.studies.grid import STARTED
from mmlgd.utils.files import read_small

from .results import Comparison, Evaluation, Proof, Study, read_result
from .training import CONFIGS, Training, read_training


class Result(NamedTuple):
    """A folder of results, with what is in it: one of the models of :mod:`~mmlgd.pages.results`."""

    folder: Path
    found: BaseModel


def read_folder(folder: Path) -> Union[Training, Result]:
    """Read a folder that one of our commands has written.

    Args:
        folder (Path): A work dir of pre-training, or a folder of ``mmlgd evaluate``, ``compare``, ``prove`` or
            ``study``.

    Returns:
        Training | Result: What it is.

    Raises:
        MissingFileError: There is no such folder.
        ConfigError: It is none of these, or has no results yet.
    """
    if not folder.is_dir():
        raise MissingFileError(f'There is no folder at {shown(folder)}. Give the work dir of a run.')
    table, study = folder / 'table.json', folder / 'study.json'
    if study.is_file():
        return Result(folder, read_result(study, Study))
    if table.is_file():
        return Result(folder, read_result(table, _kind_of(table)))
    if any(folder.glob(CONFIGS)):
        return read_training(folder)
    if begun := sum(1 for _ in folder.glob(f'*/{STARTED}')):
        raise ConfigError(
            f'{shown(folder)} is of `mmlgd prove` or `mmlgd compare`, and has no table yet: {begun} of its runs have '
            f'begun. Give that command once more, which goes on where it stopped, and then this one.'
        )
    raise ConfigError(
        f'{shown(folder)} is no folder that a report knows. Expected the work dir of `mmlgd pretrain` (with '
        f'*/vis_data/config.py), or a folder of `mmlgd evaluate`, `mmlgd prove` or `mmlgd compare` (with table.json), '
        f'or of `mmlgd study` (with study.json).'
    )


def _kind_of(table: Path) -> type[BaseModel]:
    """Tell whose table it is by its first level; a comparison has the names of its starts there."""
    try:
        keys = set(json.loads(read_small(table)))
    except (ValueError, RecursionError, TypeError) as error:
        raise ConfigError(
            f'{shown(table)} is damaged: {sentence(error)} Run the command that writes it again, or leave this folder '
            f'out.'
        ) from error
    if {'data', 'results'} <= keys:
        return Evaluation
    return Proof if {'verdict', 'figures'} <= keys else Comparison
