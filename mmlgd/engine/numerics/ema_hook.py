"""Averaged weights of the student, based on mmpretrain's EMA hook."""

from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmpretrain.engine import EMAHook as BaseEMAHook
from torch import nn

from mmlgd.checkpoints.parts import check_weights, part_weights
from mmlgd.registry import HOOKS
from mmlgd.utils.models import plain_model, trained_parts


@HOOKS.register_module()
class EMAHook(BaseEMAHook):
    """``mmpretrain.EMAHook`` that averages only trained parts, without teacher and banks.

    mmengine's hook works as well, with three disadvantages. It copies the whole model including the teacher. With
    ``update_buffers`` it averages the rows of banks and queues, but not their state (visited rows, a pointer). It
    resumes from averages of any model, also from NaN. This hook copies and averages only the parts with trained
    weights, and checks the averages when it resumes. As with mmengine's hook, the checkpoint has trained and averaged
    weights. Evaluation and downstream tasks get the averaged student.

    Args:
        **kwargs: Arguments of mmpretrain's hook: ``momentum``, ``begin_epoch``, ``update_buffers`` (the statistics of
            batch norm), ...

    Examples:
        >>> custom_hooks = [dict(type='mmlgd.EMAHook', momentum=0.001)]
    """

    def before_run(self, runner: Runner) -> None:
        """Copy the parts of the model that are trained.

        Args:
            runner (Runner): The runner.
        """
        self.src_model = nn.ModuleDict(trained_parts(plain_model(runner)))
        self.ema_model = MODELS.build(self.ema_cfg, default_args=dict(model=self.src_model))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read averaged and trained weights from a checkpoint; without averages, the weights serve as both.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): The loaded checkpoint; its ``state_dict`` gets the trained weights.

        Raises:
            CheckpointError: The run resumes from it, but its averages or trained weights do not fit this student.
        """
        if 'ema_state_dict' in checkpoint:
            if runner._resume:
                source, averages = runner._load_from or 'The checkpoint', checkpoint['ema_state_dict']
                check_weights(self.ema_model, averages, f'{source}: ema_state_dict')
                for name, part in self.src_model.items():
                    check_weights(part, part_weights(checkpoint['state_dict'], name, source), f'{source}: {name}')
            super().after_load_checkpoint(runner, checkpoint)
            return
        ours = tuple(f'{name}.' for name in self.src_model)
        state = {key: value for key, value in checkpoint['state_dict'].items() if key.startswith(ours)}
        super().after_load_checkpoint(runner, dict(state_dict=state))
