"""The order of a page: the answer first."""

import shlex
from collections import Counter
from pathlib import Path
from typing import Optional, Union

from mmlgd.errors import shown

from .banks import show_banks
from .blocks import Code, Heading, Section, Table, Text
from .commands import commands_of, next_steps
from .compared import (
    comparison_answer,
    comparison_blocks,
    evaluation_answer,
    evaluation_blocks,
    proof_answers,
    proof_blocks,
    study_answer,
    study_blocks,
)
from .folders import Result
from .results import Comparison, Evaluation, Proof, Study
from .seen import show_images
from .trained import answer, cost, curves, facts
from .training import Training


def sections_of(
    found: list[Union[Training, Result]], images: Optional[Path], max_images: int, out: Path
) -> tuple[str, list[Section]]:
    """Put a page together.

    Args:
        found (List[Training | Result]): What the folders are.
        images (Path, optional): Images to answer for.
        max_images (int): Maximum number of these.
        out (Path): The file, for the command that makes it again.

    Returns:
        Tuple[str, List[Section]]: Title and sections.
    """
    runs = [one for one in found if isinstance(one, Training)]
    results = [one for one in found if isinstance(one, Result)]
    often = Counter(run.name for run in runs)
    for run in runs:
        run.name = run.name if often[run.name] == 1 else shown(run.folder)
    of_kind = {
        kind: [one for one in results if isinstance(one.found, kind)] for kind in (Evaluation, Comparison, Proof, Study)
    }
    title = ', '.join(run.name for run in runs) or ', '.join(shown(one.folder.resolve().name) for one in results)
    downstream = [*of_kind[Proof], *of_kind[Comparison], *of_kind[Study]]
    again = ['mmlgd', 'report', *(str(one.folder) for one in found), '--out', str(out)]
    again += [] if images is None else ['--images', str(images), '--max-images', str(max_images)]
    students = [run for run in runs if run.text]
    return f'Report: {title}', [
        Section('The answer', [Text(text) for text in _answers(runs, results)]),
        Section('What was trained', _each(runs, facts)),
        Section('Curves', _each(runs, lambda run: curves(run) or [Text('The log has no curves.')])),
        Section('Student beside teacher', _each(of_kind[Evaluation], lambda one: evaluation_blocks(one.found))),
        Section('What it answers for your images', _images(students, images, max_images)),
        Section('Banks', _each(students, show_banks)),
        Section('Downstream and studies', _each(downstream, _table)),
        Section('Cost', _cost(runs)),
        Section('What to do next', next_steps(runs, results)),
        Section('Commands', [*_each(found, commands_of), Text('And this page:'), Code([shlex.join(again)])]),
    ]


def _table(one: Result) -> list:
    if isinstance(one.found, Comparison):
        return comparison_blocks(one.found, one.folder)
    return proof_blocks(one.found) if isinstance(one.found, Proof) else study_blocks(one.found)


def _answers(runs: list[Training], results: list[Result]) -> list[str]:
    answers = [answer(run) if len(runs) == 1 else f'{run.name}: {answer(run)}' for run in runs]
    for one in results:
        is_only = sum(type(other.found) is type(one.found) for other in results) == 1
        whose = '' if is_only else f'{shown(one.folder)}: '
        answers += [f'{whose}{text}' for text in _answers_of(one) if text]
    return answers


def _answers_of(one: Result) -> list[str]:
    if isinstance(one.found, Evaluation):
        return [evaluation_answer(one.found)]
    if isinstance(one.found, Proof):
        return proof_answers(one.found)
    return [comparison_answer(one.found, one.folder) if isinstance(one.found, Comparison) else study_answer(one.found)]


def _each(found: list, blocks_of) -> list:
    """Join the blocks of several folders; each begins with its name if there are several."""
    joined: list = []
    for one in found:
        name = one.name if isinstance(one, Training) else shown(one.folder)
        joined += [*([Heading(name)] if len(found) > 1 else []), *blocks_of(one)]
    return joined


def _images(students: list[Training], images: Optional[Path], max_images: int) -> list:
    if images is not None:
        return _each(students, lambda run: show_images(run, images, max_images))
    told = (
        'Give `--images DIR` for the answers that the student is surest and least sure of, with labels the confusions.'
    )
    return [Text(told)] if students else []


def _cost(runs: list[Training]) -> list:
    if not runs:
        return []
    head = ['run', 'time', 'images/s', 'waiting for images', 'device']
    note = (
        'Steps of training alone, from the log: evaluations, checkpoints and a teacher store are not in it. images/s '
        'is that of the median step.'
    )
    return [Table(head, [cost(run) for run in runs], note)]
