"""Students by name: the paper's two, and every backbone of timm and mmpretrain."""

import re
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmlgd.errors import ConfigError

# As configs; mmpretrain's residual blocks start as the identity, torchvision's (and ours) do not.
NAMED: dict[str, dict] = {
    'resnet18': dict(type='mmpretrain.ResNet', depth=18, out_indices=(3,), norm_eval=False, zero_init_residual=False),
    'mobilenetv2': dict(type='mmpretrain.MobileNetV2', widen_factor=1.0, out_indices=(7,)),
}
_SIZE = 224
# mmpretrain names a config ARCHITECTURE_BATCH..._DATASET.py; another word in front is a pre-training method.
_CONFIG = re.compile(r'([^_]+)_\d+xb\d+.*_in1k(?:-\d+px)?\.py')
_TIMM = re.compile(r'^@register_model\s+def (\w+)\(', re.MULTILINE)


def list_students(start: str = '') -> list[str]:
    """List the available student names. This imports no library.

    Args:
        start (str): Start of the wanted names. Defaults to all names.

    Returns:
        List[str]: ``resnet18``, ``mobilenetv2``, and ``timm:NAME`` and ``mmpretrain:NAME`` of the installed libraries,
        sorted.

    Examples:
        >>> list_students('res')
        ['resnet18']
        >>> 'timm:mobilenetv4_conv_small' in list_students('timm:mobilenetv4'), list_students('mmpretrain:regnetx-4')
        (True, ['mmpretrain:regnetx-4.0gf', 'mmpretrain:regnetx-400mf'])
    """
    libraries = dict(timm=_timm_models, mmpretrain=_mmpretrain_configs)
    of_libraries = [
        f'{library}:{name}'
        for library, names in libraries.items()
        if f'{library}:'.startswith(start[: len(library) + 1])
        for name in sorted(names())
    ]
    return [name for name in [*NAMED, *of_libraries] if name.startswith(start)]


def student_settings(name: str, size: int = _SIZE) -> dict:
    """Find the settings of a backbone by its name, and check that it supports an image size.

    Args:
        name (str): One of :func:`list_students`; ``mmpretrain:NAME`` can also be a class of ``mmpretrain.models`` whose
            settings all have defaults. A timm model may have a tag, which only affects its settings: the student starts
            from random weights.
        size (int): Image side in pixels. Defaults to 224.

    Returns:
        dict: Value for ``model.backbone``. A timm model is complete except for the classifier, with timm's own key
        names.

    Raises:
        ConfigError: The name is unknown, or the backbone does not support this image size.

    Examples:
        >>> student_settings('timm:resnet10t')
        {'type': 'mmpretrain.TIMMBackbone', 'model_name': 'resnet10t'}
    """
    if name in NAMED:
        return dict(NAMED[name])
    library, _, model = name.partition(':')
    if library == 'timm' and model.split('.')[0] in _timm_models():
        settings: dict[str, Any] = dict(type='mmpretrain.TIMMBackbone', model_name=model)
        # A transformer has a fixed image size; some transformers also support others.
        return _that_fits(name, settings, size, [{}, dict(img_size=size, dynamic_img_size=True), dict(img_size=size)])
    if library == 'mmpretrain' and (settings := _of_mmpretrain(model)):
        return _that_fits(name, settings, size, [{}] if size == _SIZE else [dict(img_size=size), {}])
    known = list_students(f'{library}:') or list_students()
    close = get_close_matches(name, known, n=5, cutoff=0.4) or list(NAMED)
    raise ConfigError(
        f'There is no student {name!r}. Similar names: {", ".join(close)}; list all: `mmlgd pretrain --list-students`.'
    )


def _that_fits(name: str, settings: dict, size: int, choices: list[dict]) -> dict:
    """Use the first of several additions with which the backbone can be built and processes zeros of this size."""
    from mmlgd.models.necks import channels_of  # a large package, which listing names does not need
    from mmlgd.utils.building import build_part

    errors = []
    for more in choices:
        try:
            channels_of(build_part({'_scope_': 'mmpretrain', **settings, **more}, 'model.backbone'), size)
            return {**settings, **more}
        except ConfigError as error:
            errors.append(error)
    told = errors[choices.index({})]  # errors of the other additions may only be about an unknown setting
    raise ConfigError(f'The student {name} cannot be used with --size {size}: {told}') from told


def _of_mmpretrain(model: str) -> dict:
    """Get a backbone's settings from mmpretrain's config of this architecture or its class; empty if neither exists."""
    from mmengine.config import Config  # a large package, which listing names does not need

    if file := _mmpretrain_configs().get(model):
        settings = Config.fromfile(file).model.backbone.to_dict()
        settings.pop('init_cfg', None)  # weights from elsewhere
        return {**settings, 'type': f'mmpretrain.{settings["type"]}'}
    folder = _folder('mmpretrain') / 'models/backbones/__init__.py'
    is_class = folder.is_file() and re.search(rf"'{re.escape(model)}'", folder.read_text(encoding='utf-8'))
    return dict(type=f'mmpretrain.{model}') if is_class else {}


def _mmpretrain_configs() -> dict[str, Path]:
    """Find mmpretrain's architectures, each with the plainest config that trains it on ImageNet."""
    files = (_folder('mmpretrain') / '.mim/configs').glob('*/*.py')
    found: dict[str, Path] = {}
    for file in sorted(files, key=lambda file: (len(file.name), file.name), reverse=True):
        if match := _CONFIG.fullmatch(file.name):
            found[match[1]] = file
    return found


def _timm_models() -> set[str]:
    files = (_folder('timm') / 'models').glob('*.py')
    return {name for file in files for name in _TIMM.findall(file.read_text(encoding='utf-8'))}


def _folder(package: str) -> Path:
    """Find the folder of a package without importing it."""
    spec = find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path('nowhere')
