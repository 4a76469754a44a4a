"""What a teacher's settings mean: those of a pair, those of earlier versions, and how a teacher is built from any."""

import math
from numbers import Real
from typing import Any, NamedTuple, Union

from mmlgd.errors import ConfigError, brief
from mmlgd.utils.building import build_part
from mmlgd.utils.configs import kind_of
from mmlgd.utils.validation import require

from .base import BaseTeacher

SHARE = 0.9  # of the looks in a pair, from docs/study.md
KINDS = ('features', 'logits', 'similarity')


class LooksSettings(NamedTuple):
    """The looks of a pair, as a config names them.

    Attributes:
        kind (str): ``'features'`` of a network, ``'logits'`` of the words' classifier, or only the ``'similarity'``
            between places.
        settings (dict): Of the network, with its ``backbone``; empty for the words' own classifier.
    """

    kind: str
    settings: dict


def looks_settings(looks: Union[str, dict]) -> LooksSettings:
    """Read the looks of a pair.

    Args:
        looks (str | dict): ``'library:model'``, ``'logits'``, ``'similarity'`` or ``'similarity:library:model'``; or a
            dict with one of them as ``backbone``, and more settings of the network.

    Returns:
        LooksSettings: Kind and settings.

    Raises:
        ConfigError: It names no backbone, or has settings that its kind does not read.

    Examples:
        >>> looks_settings('similarity:timm:resnet18')
        LooksSettings(kind='similarity', settings={'backbone': 'timm:resnet18'})
    """
    settings = dict(looks) if isinstance(looks, dict) else dict(backbone=looks)
    backbone = settings.get('backbone')
    require(
        bool(backbone) and (not isinstance(looks, str) or isinstance(backbone, str)),
        f'Expected looks as "library:model", "logits", "similarity", or a dict with such a backbone; got '
        f'{brief(looks)!r}.',
    )
    kind = 'features'
    if isinstance(backbone, str) and backbone.partition(':')[0] in KINDS[1:]:
        kind, _, backbone = backbone.partition(':')
        settings['backbone'] = backbone
        if not backbone:
            del settings['backbone']
        require(
            bool(backbone) != (kind == 'logits') if backbone else not settings,
            f"looks='{kind}' are of the words' own classifier, and take no more settings; got {brief(looks)!r}.",
        )
    return LooksSettings(kind, settings)


def updated(settings: dict) -> dict:
    """Bring a teacher's settings to one form.

    The ``visual_share`` that ConSE had in earlier versions is a pair. A pair with a share of 0 is its words, and one
    that names no share has the default.

    Args:
        settings (dict): Of a teacher, from any version; not changed.

    Returns:
        dict: Settings of the same teacher, with the same identity.

    Examples:
        >>> updated(dict(type='mmlgd.ConSETeacher', top_k=5, visual_share=0.9))['looks']
        'logits'
    """
    settings = dict(settings)
    if isinstance(settings.get('teacher'), dict):  # behind a store
        settings['teacher'] = updated(settings['teacher'])
    kind, words = kind_of(settings), settings.get('words')
    if kind == 'TeacherPair' and isinstance(words, dict) and _has_no_looks(settings):
        return updated(words)  # the same teacher, bit for bit
    if kind == 'TeacherPair':
        settings.setdefault('looks_share', SHARE)
    if kind != 'ConSETeacher' or 'visual_share' not in settings:
        return settings
    share = settings.pop('visual_share')
    return dict(type='mmlgd.TeacherPair', words=settings, looks='logits', looks_share=share) if share else settings


def names_scale(settings: dict) -> float:
    r"""Compute the scale of similarities to class names that a run's temperatures follow.

    .. math:: t \cdot \text{name} = \sqrt{1 - w}\ t_\text{words} \cdot \text{name}, \qquad
              \tau_T \leftarrow \sqrt{1 - w}\ \tau_T

    for a pair with the share w of looks. A config with a ``visual_share`` of ConSE is of an earlier version, and has
    scaled its temperatures itself: 1, like all other teachers.

    Args:
        settings (dict): Of a teacher, as the config has them, not :func:`updated`.

    Returns:
        float: In (0, 1].

    Raises:
        ConfigError: The share is no number from 0 to below 1.

    Examples:
        >>> round(names_scale(dict(type='mmlgd.TeacherPair', looks='timm:resnet18', looks_share=0.75)), 6)
        0.5
    """
    if isinstance(settings.get('teacher'), dict):
        return names_scale(settings['teacher'])
    if kind_of(settings) != 'TeacherPair' or looks_settings(settings.get('looks')).kind == 'similarity':
        return 1.0
    share = settings.get('looks_share', SHARE)
    require(
        isinstance(share, Real) and 0 <= share < 1,
        f'Expected looks_share in [0, 1), got {brief(share)}. With 1, class names would have no weight.',
    )
    return math.sqrt(1 - share)


def build_teacher(settings: Any, where: str) -> BaseTeacher:
    """Build a teacher from the settings of any version.

    Args:
        settings (dict): Its config.
        where (str): The part, as the config calls it, for errors.

    Returns:
        BaseTeacher: The teacher; its ``names_scale`` is the one of these settings.

    Raises:
        ConfigError: The settings do not fit, or are not of a teacher.
    """
    if not isinstance(settings, dict):
        raise ConfigError(f'{where} takes a dict of settings, got {settings!r}, a {type(settings).__name__}.')
    teacher = build_part(updated(settings), where)
    require(isinstance(teacher, BaseTeacher), f'{where} is a {type(teacher).__name__}, which is not a teacher.')
    if updated(settings) != settings:  # of an earlier version, also behind a store
        teacher.names_scale = names_scale(settings)
    return teacher


def with_statistics_of(settings: dict, told: dict) -> dict:
    """Take over the statistics of looks from another config of the same teacher; other settings are not compared.

    Args:
        settings (dict): Of a teacher; not changed.
        told (dict): Of the same teacher, from a checkpoint or a store.

    Returns:
        dict: The settings, with statistics if they had none, need them, and ``told`` has them for the same looks.
    """
    if isinstance(settings.get('teacher'), dict):
        return {**settings, 'teacher': with_statistics_of(settings['teacher'], told)}
    if isinstance(told.get('teacher'), dict):
        return with_statistics_of(settings, told['teacher'])
    if not lacks_statistics(settings) or kind_of(told) != 'TeacherPair':
        return settings
    ours, theirs = (looks_settings(one['looks']) for one in (settings, told))
    known = dict(theirs.settings)
    statistics = known.pop('statistics', None)
    same = statistics and ours.kind == theirs.kind and _plain(ours.settings) == _plain(known)
    return with_statistics(settings, statistics) if same else settings


def with_statistics(settings: dict, statistics: str) -> dict:
    """Give a pair the statistics of its looks.

    Args:
        settings (dict): Of a pair whose looks are features; not changed.
        statistics (str): See :meth:`~mmlgd.TeacherPair.measured`.

    Returns:
        dict: The settings with them.

    Examples:
        >>> with_statistics(dict(looks='timm:resnet18'), 'AAAA')
        {'looks': {'backbone': 'timm:resnet18', 'statistics': 'AAAA'}}
    """
    return {**settings, 'looks': dict(looks_settings(settings['looks']).settings, statistics=statistics)}


def lacks_statistics(settings: dict) -> bool:
    """Check whether a teacher has looks whose statistics are not known yet.

    Args:
        settings (dict): Of a teacher.

    Returns:
        bool: True for a pair with features of a network and a share above 0, and without ``statistics``.
    """
    if isinstance(settings.get('teacher'), dict):
        return lacks_statistics(settings['teacher'])
    if kind_of(settings) != 'TeacherPair' or not settings.get('looks_share', SHARE):
        return False
    kind, looks = looks_settings(settings.get('looks'))
    return kind == 'features' and looks.get('statistics') is None


def _has_no_looks(settings: dict) -> bool:
    """Tell whether the share of a pair leaves only its words; maps of similarities have no share."""
    return settings.get('looks_share') == 0 and looks_settings(settings.get('looks')).kind != 'similarity'


def _plain(settings: dict) -> dict:
    """Leave out what changes only the speed, and where weights lie: identities compare them. Write tuples as lists."""
    settings = {key: value for key, value in settings.items() if key not in ('compile', 'weights')}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
