"""Wraps the model of any config, so that a teacher stays on while it is trained."""

from pathlib import Path
from typing import Any, Optional, Union

from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from mmlgd.errors import ConfigError, brief
from mmlgd.models.guided.guide import Guide
from mmlgd.models.teachers.settings import looks_settings
from mmlgd.registry import find_class
from mmlgd.utils.configs import kind_of
from mmlgd.utils.validation import check_settings, listed, require

from .inputs import teacher_settings, vocabulary_of

_HOOKS = dict(guide=dict(type='mmlgd.GuideHook'), finite=dict(type='mmlgd.FiniteCheckHook'))


def add_guide(
    cfg: Config, guide: Union[str, dict, None], names: Union[str, Path, list, tuple, dict, None] = None
) -> None:
    """Make the model of a config a :class:`~mmlgd.Guided` one, in place.

    Args:
        cfg (Config): Of any training of mmdet, mmseg or mmpretrain. Settings in ``model.guide`` stay.
        guide (str | dict, optional): The teacher: ``--teacher`` of ``mmlgd pretrain``, two of them as ``WORDS+LOOKS``,
            or its settings. None changes only the names of a config with a guide.
        names (str | Path | list | dict, optional): Names of the classes. Defaults to None: those of the data set.

    Raises:
        ConfigError: The config is a pre-training, there is no such teacher, or there are names and no guide.

    Examples:
        >>> cfg = Config(dict(model=dict(type='RetinaNet')))
        >>> add_guide(cfg, dict(type='mmlgd.ConSETeacher'))
        >>> cfg.model
        {'type': 'mmlgd.Guided', 'plain': 'RetinaNet', 'guide': {'teacher': {'type': 'mmlgd.ConSETeacher'}}}
    """
    model = cfg.model.to_dict()  # classes of a lazy config as their paths: the text of it is kept
    kind = kind_of(model)
    if guide is None and names is None:
        return
    if guide is None and kind != 'Guided':
        raise ConfigError('--names are the names of a guide: give its teacher, too, as in --guide conse.')
    if kind == 'LGD':
        raise ConfigError(
            'This config is a pre-training, which has its teacher already: change model.teacher. --guide is for '
            'detectors, segmentors and classifiers.'
        )
    require(
        'type' in model, 'The model of this config has no type, so there is nothing to guide: give one, or a _base_.'
    )
    settings = model.get('guide') or {}
    require(isinstance(settings, dict), f'Expected model.guide=dict(teacher=...), got {brief(settings)!r}.')
    settings = dict(settings)
    if guide is not None:
        settings['teacher'] = guide_settings(guide)
    if names is not None:
        settings['text'] = {**(settings.get('text') or {}), 'vocabulary': vocabulary_of(names, fewest=1)}
    if kind != 'Guided':
        model['plain'] = model.pop('type')
    cfg.model = {'type': 'mmlgd.Guided', **model, 'guide': settings}
    cfg.default_hooks = {**_HOOKS, **(cfg.get('default_hooks') or {})}
    imports = dict(cfg.get('custom_imports') or {})
    others = [one for one in listed(imports.get('imports') or []) if one != 'mmlgd']
    cfg.custom_imports = {**imports, 'imports': [*others, 'mmlgd']}  # other tools of OpenMMLab read the config as well


def check_guide(cfg: Config) -> None:
    """Refuse a guide that cannot be built from its settings, before the plain runs of a comparison take their hours.

    Args:
        cfg (Config): Of a run, with all its options. One without a guide passes.

    Raises:
        ConfigError: ``model.guide`` has a setting that no guide has, or one of another type.
    """
    model = cfg.get('model') or {}
    if kind_of(model) == 'Guided' and isinstance(model.get('guide'), dict):
        check_settings('model.guide', Guide.__init__, model.guide)


def check_images(settings: Any, scope: Optional[str]) -> None:
    """Let training refuse images that are cut off or no images, by their names; the pixels of others are the same.

    Args:
        settings (Any): Of a data loader and hooks, or a part of them; changed in place where mmcv's transform reads.
        scope (str, optional): The config's ``default_scope``.

    Examples:
        >>> pipeline = [dict(type='LoadImageFromFile'), dict(type='PackDetInputs')]
        >>> check_images(pipeline, 'mmdet')
        >>> pipeline[0]
        {'type': 'mmlgd.LoadImageFromFile', 'like_mmcv': True}
    """
    for one in settings.values() if isinstance(settings, dict) else settings if isinstance(settings, list) else ():
        check_images(one, scope)
    if not isinstance(settings, dict) or not {*settings} <= {'type', 'backend_args'}:
        return
    kind = settings.get('type')
    if isinstance(kind, str) and kind.endswith('LoadImageFromFile'):  # other libraries have transforms of this name
        kind = find_class(kind, scope, TRANSFORMS)
    if kind is LoadImageFromFile:
        settings.update(type='mmlgd.LoadImageFromFile', like_mmcv=True)  # as evaluation and the plain config read them


def guide_settings(guide: Union[str, dict]) -> dict:
    """Turn ``--guide`` into a teacher's config.

    Args:
        guide (str | dict): See :func:`add_guide`.

    Returns:
        dict: Value for ``model.guide.teacher``.

    Raises:
        ConfigError: There is no such teacher.

    Examples:
        >>> guide_settings('RN50+timm:resnet18')['looks']
        'timm:resnet18'
    """
    if isinstance(guide, dict):
        return dict(guide)
    words, plus, looks = guide.partition('+')
    teacher = teacher_settings(words)
    if not plus:
        return teacher
    looks_settings(looks)  # refuses what names no network
    return dict(type='mmlgd.TeacherPair', words=teacher, looks=looks)
