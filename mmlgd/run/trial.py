"""Builds a training without its data, before a teacher, or the runs before it, are asked for hours."""

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from mmlgd.errors import ConfigError, MMLGDError, sentence
from mmlgd.utils.logs import log_from

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.optim import OptimWrapper

# Large packages are imported inside functions: the help of `mmlgd pretrain`, which imports this module, must not wait
# for them.
_LATEST = 10**8  # where a schedule without an end ends if that is known with the data alone, as steps of epochs are
_EPOCH = 1000  # steps: of fewer, a schedule that is converted to steps could end in its first, such as a half epoch


def check_stored_training(config: dict[str, Any]) -> None:
    """Refuse a pre-training that cannot be built, or that no store can serve, before its teacher store is written.

    Class names are replaced by two short ones: those of the run are checked elsewhere, and may take minutes to embed.

    Args:
        config (dict): The whole config of the run.

    Raises:
        ConfigError: A setting does not fit; the message has the library's own reason.
        MMLGDError: Likewise, from a part of ours.
        ImportError: A package that a part needs is not installed.
    """
    from mmengine.config import Config

    from mmlgd.store.writer import check_replay

    cfg = Config(config)
    check_replay(cfg)
    cfg.model.text = dict(cfg.model.get('text') or {}, vocabulary=['cat', 'dog'], templates='plain')
    check_training(cfg)


def check_training(cfg: 'Config') -> None:
    """Refuse a training whose model, optimizer or schedule cannot be built, or whose schedule would not do as it says.

    Nothing is compiled. Looks that have not been measured get statistics that change nothing.

    Args:
        cfg (Config): The whole config of a run, of any library. It is not changed.

    Raises:
        ConfigError: A setting does not fit; the message has the library's own reason.
        MMLGDError: Likewise, from a part of ours.
        ImportError: A package that a part needs is not installed.
    """
    import torch
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import MODELS, DefaultScope

    from mmlgd.engine.checks.frozen_backbone_hook import backbone_without_rate
    from mmlgd.models.guided import Guided

    from .rates import keeps_backbones, refuse_empty_schedules, refuse_overridden_rates, refuse_unknown_optimizer

    for refuse in (refuse_unknown_optimizer, refuse_overridden_rates, refuse_empty_schedules):
        refuse(cfg)
    cfg = deepcopy(cfg)  # as a dict, a lazy config would have texts in place of its classes
    scope = cfg.get('default_scope') or 'mmengine'
    # The run itself will log the warnings, and the caller's random numbers stay as they are.
    with log_from('ERROR'), DefaultScope.overwrite_default_scope(scope), torch.random.fork_rng(devices=[]):
        try:
            model = cfg.model
            if cfg.get('data_preprocessor'):
                model.setdefault('data_preprocessor', cfg.data_preprocessor)  # as mmengine's runner does
            _prepare(model)
            built = MODELS.build(model)
            optimizer = build_optim_wrapper(built, cfg.optim_wrapper)
            if isinstance(built, Guided) and keeps_backbones(cfg) and (kept := backbone_without_rate(built, optimizer)):
                kept.requires_grad_(False)
                built.guide.feature.require_trained(built.guide.feature.of_zeros(built, model.get('backbone') or {})[0])
            _build_schedules(cfg.get('param_scheduler'), optimizer, cfg.get('train_cfg') or {})
        except (MMLGDError, ImportError, OSError):
            raise
        except Exception as error:  # for bad settings, libraries raise KeyError, TypeError, AssertionError, ...
            raise ConfigError(
                f'The training of this config cannot be built: {sentence(error)} Nothing has been written. Change the '
                f'setting, by --cfg-options or in the config.'
            ) from error


def _prepare(model: dict[str, Any]) -> None:
    """Leave out what takes long and refuses nothing."""
    from mmlgd.models.teachers.settings import build_teacher, lacks_statistics, with_statistics
    from mmlgd.utils.configs import kind_of

    if model.get('compile'):
        model['compile'] = False
    part, name = (model.get('guide'), 'model.guide') if kind_of(model) == 'Guided' else (model, 'model')
    if isinstance(part, dict) and part.get('teacher') and lacks_statistics(part['teacher']):
        looks = build_teacher(part['teacher'], f'{name}.teacher').looks
        part['teacher'] = with_statistics(part['teacher'], looks.neutral())


def _build_schedules(schedules: Any, optimizer: 'OptimWrapper', loop: dict[str, Any]) -> None:
    """Build them as mmengine's runner does: with several optimizers, all for each, or those that have its name."""
    from mmengine.optim import OptimWrapperDict
    from mmengine.registry import PARAM_SCHEDULERS

    from mmlgd.utils.validation import listed

    if isinstance(optimizer, OptimWrapperDict):
        by_name = isinstance(schedules, dict) and 'type' not in schedules
        for name, one in optimizer.items():
            _build_schedules(schedules[name] if by_name else schedules, one, loop)
        return
    for schedule in listed(schedules or []):
        if schedule.get('by_epoch', True):
            end = loop.get('max_epochs') or (1 if 'max_iters' in loop else _LATEST)  # a loop of steps is one epoch
        else:
            end = loop.get('max_iters') or _LATEST
        PARAM_SCHEDULERS.build(schedule, default_args=dict(optimizer=optimizer, end=end, epoch_length=_EPOCH))
