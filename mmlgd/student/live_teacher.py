"""The teacher of a student that is trained already: who embeds new class names and looks at images for it."""

from pathlib import Path
from typing import Optional, Union

from mmlgd.checkpoints.configs import buildable
from mmlgd.checkpoints.teacher_ids import teacher_to_build
from mmlgd.models import BaseTeacher
from mmlgd.models.teachers.known import build_known_teacher


def live_teacher(config: dict, options: Optional[dict] = None, source: Union[str, Path] = 'The checkpoint') -> dict:
    """Say which teacher can be asked: that of training, or the one behind the store of training.

    Args:
        config (dict): Settings of the training, as :attr:`~mmlgd.evaluation.FrozenModel.config`.
        options (dict, optional): Changes to the teacher's config. ``store`` is another place of the store. With a
            ``type`` it is a whole config, in the place of that of training. Defaults to None. A teacher in a file, a
            folder or a repository has to be named here.
        source (str | Path): Where the settings are from, for the error.

    Returns:
        dict: Config of a teacher.

    Raises:
        CheckpointError: The teacher is no class that the installed libraries register, or lies in a place that is not
            named.

    Examples:
        >>> config = dict(model=dict(teacher=dict(type='mmlgd.ConSETeacher')))
        >>> live_teacher(config, dict(visual_share=0.9))
        {'type': 'mmlgd.ConSETeacher', 'visual_share': 0.9}
    """
    if 'type' in (options or {}):
        return dict(options)
    return teacher_to_build(buildable(config['model'].get('teacher') or {}, 'teacher', source), options, source)


def build_live_teacher(
    config: dict, teacher_id: str, options: Optional[dict] = None, source: Union[str, Path] = 'The checkpoint'
) -> BaseTeacher:
    """Build the teacher of :func:`live_teacher`, and see that it is the one of training.

    Args:
        config (dict): Settings of the training.
        teacher_id (str): Identity of the teacher that the student was distilled from.
        options (dict, optional): As there. Defaults to None.
        source (str | Path): Where the student is from, for the error.

    Returns:
        BaseTeacher: On the CPU.

    Raises:
        MMLGDError: It cannot be built; the message says how to name it.
        ConfigError: It is another teacher.
    """
    return build_known_teacher(live_teacher(config, options, source), teacher_id, f'{source} was distilled from')
