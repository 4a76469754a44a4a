"""The teacher of a trained student: it embeds new class names and, for comparison, images."""

from pathlib import Path
from typing import Optional, Union

from mmlgd.checkpoints.configs import buildable
from mmlgd.checkpoints.teacher_ids import teacher_to_build
from mmlgd.models import BaseTeacher
from mmlgd.models.teachers.known import build_known_teacher


def live_teacher(config: dict, options: Optional[dict] = None, source: Union[str, Path] = 'The checkpoint') -> dict:
    """Find the config of the teacher: the one of training, or the one that wrote the store of training.

    Args:
        config (dict): Config of the training, as in :attr:`~mmlgd.evaluation.FrozenModel.config`.
        options (dict, optional): Changes to the teacher's config. ``store`` is the new place of the store. With a
            ``type`` it is a whole config, which replaces the config of training. Defaults to None. A teacher in a file,
            a folder or a repository must be named here.
        source (str | Path): Source of the config, for the error message.

    Returns:
        dict: Config of the teacher.

    Raises:
        CheckpointError: The installed libraries register no such teacher class, or the teacher is in a place that was
            not named.

    Examples:
        >>> config = dict(model=dict(teacher=dict(type='mmlgd.ConSETeacher')))
        >>> live_teacher(config, dict(top_k=5))
        {'type': 'mmlgd.ConSETeacher', 'top_k': 5}
    """
    if 'type' in (options or {}):
        return dict(options)
    return teacher_to_build(buildable(config['model'].get('teacher') or {}, 'teacher', source), options, source)


def build_live_teacher(
    config: dict, teacher_id: str, options: Optional[dict] = None, source: Union[str, Path] = 'The checkpoint'
) -> BaseTeacher:
    """Build the teacher of :func:`live_teacher`, and check that it is the teacher of training.

    Args:
        config (dict): Settings of the training.
        teacher_id (str): Identity of the teacher that the student was distilled from.
        options (dict, optional): As in :func:`live_teacher`. Defaults to None.
        source (str | Path): Source of the student, for the error message.

    Returns:
        BaseTeacher: The teacher, on the CPU.

    Raises:
        MMLGDError: The teacher cannot be built; the message says how to name it.
        ConfigError: The student was distilled from another teacher.
    """
    return build_known_teacher(live_teacher(config, options, source), teacher_id, f'{source} was distilled from')
