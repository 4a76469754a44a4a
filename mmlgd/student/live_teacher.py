"""The teacher of a student that is trained already: who embeds new class names and looks at images for it."""

import copy
from pathlib import Path
from typing import Optional, Union

from mmlgd.checkpoints.configs import buildable
from mmlgd.checkpoints.files import CheckpointError
from mmlgd.checkpoints.teacher_ids import same_teacher, teacher_to_build
from mmlgd.errors import ConfigError, MMLGDError
from mmlgd.models import BaseTeacher
from mmlgd.store import StoredTeacher, TeacherStore
from mmlgd.text import are_embedded
from mmlgd.utils.building import build_part


def live_teacher(config: dict, options: Optional[dict] = None, source: Union[str, Path] = 'The checkpoint') -> dict:
    """Say which teacher can look at pictures: that of training, or the one that wrote the store of training.

    Args:
        config (dict): Settings of the training, as :attr:`~mmlgd.evaluation.FrozenModel.config`.
        options (dict, optional): Changes to the teacher's config. ``store`` is another place of the store. With a
            ``type`` it is a whole config, in the place of that of training. Defaults to None. A teacher in a file, a
            folder or a repository has to be named here.
        source (str | Path): Where the settings are from, for the error.

    Returns:
        dict: Config of a teacher.

    Raises:
        StoreError: It was trained from a store, and that is not there any more, or damaged.
        CheckpointError: The teacher is no class that the installed libraries register, or lies in a place that is not
            named.

    Examples:
        >>> config = dict(model=dict(teacher=dict(type='mmlgd.ConSETeacher')))
        >>> live_teacher(config, dict(visual_share=0.9))
        {'type': 'mmlgd.ConSETeacher', 'visual_share': 0.9}
    """
    told, named = _told(config, options, source)
    if not _is_stored(told):
        return teacher_to_build(told, named, source)
    store = TeacherStore(_store_of(told, named, source))
    changes = {key: value for key, value in named.items() if key not in ('type', 'store')}
    return teacher_to_build(
        buildable(store.origin()['teacher']['config'], 'teacher', store.folder), changes, store.folder
    )


def build_live_teacher(
    config: dict,
    teacher_id: str,
    options: Optional[dict] = None,
    source: Union[str, Path] = 'The checkpoint',
    prompts: Optional[tuple[list[str], list[str]]] = None,
) -> BaseTeacher:
    """Build the teacher of :func:`live_teacher`, and see that it is the one of training.

    Args:
        config (dict): Settings of the training.
        teacher_id (str): Identity of the teacher that the student was distilled from.
        options (dict, optional): As there. Defaults to None.
        source (str | Path): Where the student is from, for the error.
        prompts (Tuple[List[str], List[str]], optional): Class names and templates, if nothing but their embeddings is
            wanted: where the store of training has them, no tower is loaded. Defaults to None.

    Returns:
        BaseTeacher: On the CPU.

    Raises:
        MMLGDError: It cannot be built; the message says how to name it.
        ConfigError: It is another teacher.
    """
    try:
        teacher = _stored_teacher(config, options, source, prompts) if prompts else None
        if teacher is None:
            teacher = build_part(copy.deepcopy(live_teacher(config, options, source)), 'model.teacher')
    except CheckpointError:  # not one to be trusted: no other place of its weights would help
        raise
    except MMLGDError as error:
        raise type(error)(
            f'{error} {source} was distilled from the teacher {teacher_id!r}. If that lies elsewhere now, say where: '
            f' teacher=dict(pretrained=FILE) in Python, --teacher-options pretrained=FILE for a tool; '
            f'store=FOLDER in its place for a teacher store that was moved, and with a type any config of a teacher.'
        ) from error
    if not same_teacher(teacher.identity, teacher_id):
        raise ConfigError(
            f'{source} was distilled from the teacher {teacher_id!r}, given is {teacher.identity!r}: their embeddings '
            f'cannot be compared. Give the teacher of its training, with the same weights.'
        )
    return teacher


def _told(config: dict, options: Optional[dict], source: Union[str, Path]) -> tuple[dict, dict]:
    """Settings of the teacher, and what of them the caller has named."""
    named = dict(options or {})
    return named if 'type' in named else buildable(config['model'].get('teacher') or {}, 'teacher', source), named


def _is_stored(teacher: dict) -> bool:
    return teacher.get('type') == 'mmlgd.StoredTeacher'  # as use_store writes it


def _store_of(told: dict, named: dict, source: Union[str, Path]) -> str:
    store = named.get('store', told.get('store'))
    if not isinstance(store, str):
        raise CheckpointError(f'{source} was trained from a teacher store, and says {store!r} of where that is.')
    return store


def _stored_teacher(
    config: dict, options: Optional[dict], source: Union[str, Path], prompts: tuple[list[str], list[str]]
) -> Optional[StoredTeacher]:
    """The teacher of a store, if that has the embeddings of these class names."""
    told, named = _told(config, options, source)
    if not _is_stored(told):
        return None
    stored = StoredTeacher(_store_of(told, named, source))
    return stored if are_embedded(stored.embed_dim, stored.identity, *prompts, stored.text_cache) else None
