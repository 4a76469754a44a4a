"""A backbone whose learning rate is 0 stays as it is."""

from typing import Optional, Union

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import nn

from mmlgd.errors import ConfigError
from mmlgd.registry import HOOKS
from mmlgd.utils.models import plain_model


@HOOKS.register_module()
class FrozenBackboneHook(Hook):
    """Freeze a backbone whose learning rate is 0, whatever its library: no gradients, and norms keep their statistics.

    A rate of 0 alone would leave the running statistics of its batch norms to change. Without gradients, a step takes
    about a third of the backbone's time. A backbone with another rate is left alone.

    Examples:
        >>> default_hooks = dict(frozen=dict(type='mmlgd.FrozenBackboneHook'))
        >>> optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.0))))
    """

    def before_train(self, runner: Runner) -> None:
        """Find out whether the backbone is frozen, after the optimizer is built.

        Args:
            runner (Runner): The runner.

        Raises:
            ConfigError: It is, in a run of several processes, which wait for the gradients of each parameter.
        """
        self._backbone = None
        if (backbone := backbone_without_rate(plain_model(runner), runner.optim_wrapper)) is None:
            return
        if is_model_wrapper(runner.model):
            raise ConfigError(
                'The learning rate of the backbone is 0, and processes of a distributed run wait for gradients of '
                'every parameter. Train in one process, or freeze the stages in the config: '
                'model.backbone.frozen_stages=4 model.backbone.norm_eval=True for a ResNet.'
            )
        backbone.requires_grad_(False)
        self._backbone = backbone
        runner.logger.info('The backbone is frozen: its learning rate is 0. Its norms keep their statistics.')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Keep a frozen backbone in evaluation mode; mmengine has put the whole model into training mode.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Not used.
            data_batch (dict, optional): Not used.
        """
        if self._backbone is not None:
            self._backbone.eval()


def backbone_without_rate(model: nn.Module, wrappers: Union[OptimWrapper, OptimWrapperDict]) -> Optional[nn.Module]:
    """Find a backbone whose learning rate is 0.

    Args:
        model (nn.Module): Of any library.
        wrappers (OptimWrapper | OptimWrapperDict): Its optimizers.

    Returns:
        nn.Module, optional: The backbone; None if there is none, or an optimizer changes a part of it.
    """
    if (backbone := getattr(model, 'backbone', None)) is None:
        return None
    own = {id(parameter) for parameter in backbone.parameters()}
    rates = [
        group.get('initial_lr', group['lr'])
        for wrapper in (wrappers.values() if isinstance(wrappers, OptimWrapperDict) else [wrappers])
        for group in wrapper.optimizer.param_groups
        if any(id(parameter) in own for parameter in group['params'])
    ]
    return backbone if rates and not any(rates) else None
