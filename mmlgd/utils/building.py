"""Parts built from their settings, with errors that say which part it was."""

import inspect
from typing import Any, Optional

from mmlgd.errors import ConfigError, MMLGDError
from mmlgd.registry import MODELS


def build_part(
    settings: Any, where: str, default_type: Optional[str] = None, offered: Optional[dict] = None, **derived
) -> Any:
    """Build a part of a model; what any library says of its settings becomes one error that names the part.

    Args:
        settings (dict): Of the part. None stands for none.
        where (str): The part, as the config calls it.
        default_type (str, optional): Its ``type`` where the settings have none. Defaults to None.
        offered (dict, optional): What follows from other parts and counts for those classes that take it: the number
            of names is that of prototypes, and none of a queue's. Defaults to None.
        **derived: What follows from other parts, and need not be typed.

    Returns:
        Any: The part.

    Raises:
        ConfigError: The settings are no dict, or not those of such a part.

    Examples:
        >>> from mmlgd.utils.building import build_part
        >>> build_part(dict(alpha=0.3), 'model.loss', 'mmlgd.LGDLoss').alpha
        0.3
    """
    if not isinstance(settings, (dict, type(None))):
        raise ConfigError(f'{where} takes a dict of settings, got {settings!r}, a {type(settings).__name__}.')
    settings = {**({'type': default_type} if default_type else {}), **(settings or {}), **derived}
    if 'type' not in settings:
        raise ConfigError(f'{where} says no type. Give one, for example {where}.type="mmpretrain.ResNet".')
    try:
        if offered:
            kind = settings['type']
            kind = MODELS.get(kind) if isinstance(kind, str) else kind  # None of an unknown one
            takes = inspect.signature(kind).parameters if kind else ()
            settings.update({key: value for key, value in offered.items() if key in takes})
        return MODELS.build(settings)
    except (MMLGDError, ImportError, OSError):
        raise
    except Exception as error:  # libraries meet bad settings with KeyError, AssertionError, IndexError, ...
        said = ' '.join(str(error).split()) or type(error).__name__
        raise ConfigError(
            f'{where} cannot be built from these settings: {said[:500]} Compare its settings with the class that '
            f'type={settings["type"]!r} names.'
        ) from error
