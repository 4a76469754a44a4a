"""A teacher that was met before: of a student that was distilled from it, or of a store that it wrote."""

import copy

from mmlgd.checkpoints.files import CheckpointError
from mmlgd.checkpoints.teacher_ids import same_teacher
from mmlgd.errors import ConfigError, MMLGDError
from mmlgd.utils.building import build_part

from .base import BaseTeacher


def build_known_teacher(settings: dict, teacher_id: str, said: str) -> BaseTeacher:
    """Build a teacher, and see that it is the one that was met.

    Args:
        settings (dict): Of the teacher, of :func:`~mmlgd.checkpoints.teacher_ids.teacher_to_build`.
        teacher_id (str): Identity of the one that was met.
        said (str): What met it and how, for the error: ``'a.pth was distilled from'``.

    Returns:
        BaseTeacher: On the CPU.

    Raises:
        MMLGDError: It cannot be built; the message says how to name it.
        ConfigError: It is another teacher.
    """
    try:
        teacher = build_part(copy.deepcopy(settings), 'model.teacher')
    except CheckpointError:  # not one to be trusted: no other place of its weights would help
        raise
    except MMLGDError as error:
        raise type(error)(
            f'{error} {said} the teacher {teacher_id!r}. If that lies elsewhere now, say where: '
            f' teacher=dict(pretrained=FILE) in Python, --teacher-options pretrained=FILE for a tool; '
            f'store=FOLDER in its place for a teacher store that was moved, and with a type any config of a teacher.'
        ) from error
    if not same_teacher(teacher.identity, teacher_id):
        raise ConfigError(
            f'{said} the teacher {teacher_id!r}, given is {teacher.identity!r}: their embeddings cannot be compared. '
            f'Give the same teacher, with the same weights.'
        )
    return teacher
