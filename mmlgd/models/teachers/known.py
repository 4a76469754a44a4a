"""Builds the teacher of a student or a teacher store again, and checks its identity."""

import copy

from mmlgd.checkpoints.files import CheckpointError
from mmlgd.checkpoints.teacher_ids import same_teacher
from mmlgd.errors import ConfigError, MMLGDError

from .base import BaseTeacher
from .settings import build_teacher


def build_known_teacher(settings: dict, teacher_id: str, said: str) -> BaseTeacher:
    """Build a teacher, and check that it is the expected one.

    Args:
        settings (dict): The teacher's config from :func:`~mmlgd.checkpoints.teacher_ids.teacher_to_build`.
        teacher_id (str): Identity of the expected teacher.
        said (str): What depends on this teacher, for the error: ``'a.pth was distilled from'``.

    Returns:
        BaseTeacher: The teacher, on the CPU.

    Raises:
        MMLGDError: The teacher cannot be built; the message says how to name it.
        ConfigError: It has another identity.
    """
    try:
        teacher = build_teacher(copy.deepcopy(settings), 'model.teacher')
    except CheckpointError:  # an untrusted file: another path to its weights would not help
        raise
    except MMLGDError as error:
        raise type(error)(
            f'{error} {said} the teacher {teacher_id!r}. If it has moved, give the new place: '
            f'teacher=dict(pretrained=FILE) in Python, --teacher-options pretrained=FILE for a tool. For a moved '
            f'teacher store, give store=FOLDER instead. With a type, any config of a teacher works.'
        ) from error
    if not same_teacher(teacher.identity, teacher_id):
        raise ConfigError(
            f'{said} the teacher {teacher_id!r}, but the given teacher is {teacher.identity!r}: their embeddings '
            f'cannot be compared. Give the same teacher, with the same weights.'
        )
    return teacher
