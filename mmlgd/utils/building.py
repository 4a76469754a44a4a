"""Build parts from their settings, with errors that name the part."""

import inspect
from typing import Any, Optional

from mmlgd.errors import ConfigError, MMLGDError, sentence
from mmlgd.registry import MODELS


def build_part(
    settings: Any, where: str, default_type: Optional[str] = None, offered: Optional[dict] = None, **derived
) -> Any:
    """Build a part of a model; an error of any library about its settings becomes one that names the part.

    Args:
        settings (dict): The part's settings. None stands for no settings.
        where (str): The part, as the config calls it.
        default_type (str, optional): Its ``type`` where the settings have none. Defaults to None.
        offered (dict, optional): Settings that follow from other parts, passed only to a class that takes them: a bank
            of prototypes takes the number of names, a queue does not. Defaults to None.
        **derived: Settings that follow from other parts, so that the config need not give them.

    Returns:
        Any: The part.

    Raises:
        ConfigError: The settings are not a dict, or do not fit the part.

    Examples:
        >>> from mmlgd.utils.building import build_part
        >>> build_part(dict(alpha=0.3), 'model.loss', 'mmlgd.LGDLoss').alpha
        0.3
    """
    if not isinstance(settings, (dict, type(None))):
        raise ConfigError(f'{where} takes a dict of settings, got {settings!r}, a {type(settings).__name__}.')
    settings = {**({'type': default_type} if default_type else {}), **(settings or {}), **derived}
    if 'type' not in settings:
        raise ConfigError(f'{where} has no type. Give one, for example {where}.type="mmpretrain.ResNet".')
    try:
        if offered:
            kind = settings['type']
            kind = MODELS.get(kind) if isinstance(kind, str) else kind  # None for an unknown name
            takes = inspect.signature(kind).parameters if kind else ()
            settings.update({key: value for key, value in offered.items() if key in takes})
        return MODELS.build(settings)
    except (MMLGDError, ImportError, OSError):
        raise
    except Exception as error:  # for bad settings, libraries raise KeyError, AssertionError, IndexError, ...
        raise ConfigError(
            f'{where} cannot be built from these settings: {sentence(error)} Compare its settings with the class that '
            f'type={settings["type"]!r} names.'
        ) from error
