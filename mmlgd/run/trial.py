"""Builds a training without its data, before the teacher is asked for hours."""

from typing import Any

from mmlgd.errors import ConfigError, MMLGDError, sentence
from mmlgd.utils.logs import warnings_alone

# Large packages are imported inside functions: the help of `mmlgd pretrain`, which imports this module, must not wait
# for them.


def check_training(config: dict[str, Any]) -> None:
    """Refuse a pre-training whose model, optimizer or schedule cannot be built, or that no store can serve.

    A teacher store is written before its training starts, and an option that training refuses would show only then.
    Class names are replaced by two short ones: those of the run are checked elsewhere, and may take minutes to embed.
    Looks that have not been measured, which the writer of the store does, get statistics that change nothing.

    Args:
        config (dict): The whole config of the run.

    Raises:
        ConfigError: A setting does not fit; the message has the library's own reason.
        MMLGDError: Likewise, from a part of ours.
        ImportError: A package that a part needs is not installed.
    """
    from mmengine.config import Config
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import PARAM_SCHEDULERS, DefaultScope

    from mmlgd.models.teachers.settings import build_teacher, lacks_statistics, with_statistics
    from mmlgd.registry import MODELS
    from mmlgd.store.writer import check_replay

    cfg = Config(config)
    check_replay(cfg)
    text = dict(cfg.model.get('text') or {}, vocabulary=['cat', 'dog'], templates='plain')
    scope = cfg.get('default_scope') or 'mmengine'
    with warnings_alone(), DefaultScope.overwrite_default_scope(scope):  # the run itself will log the rest
        try:
            teacher = cfg.model.teacher
            if lacks_statistics(teacher):
                teacher = with_statistics(teacher, build_teacher(teacher, 'model.teacher').looks.neutral())
            model = MODELS.build(dict(cfg.model, teacher=teacher, text=text, compile=False))
            optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
            for schedule in cfg.param_scheduler:
                settings = {key: value for key, value in schedule.items() if key != 'convert_to_iter_based'}
                PARAM_SCHEDULERS.build(settings, default_args=dict(optimizer=optimizer))
        except (MMLGDError, ImportError, OSError):
            raise
        except Exception as error:  # for bad settings, libraries raise KeyError, TypeError, AssertionError, ...
            raise ConfigError(
                f'The training of this config cannot be built: {sentence(error)} Nothing has been written. Change the '
                f'setting, by --cfg-options or in the config.'
            ) from error
