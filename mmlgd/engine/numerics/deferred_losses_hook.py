"""mmengine's loss logging, without waiting for the device in each step."""

from collections.abc import Sequence
from typing import Any, Optional

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner

from mmlgd.registry import HOOKS


@HOOKS.register_module()
class DeferredLossesHook(RuntimeInfoHook):
    """``RuntimeInfoHook`` that reads losses only when they are logged, all in one transfer.

    mmengine's hook reads each loss after each step: the host waits for the device, and then the device waits for the
    host to prepare the next step. The message hub gets the same values.

    Examples:
        >>> default_hooks = dict(runtime_info=dict(type='mmlgd.DeferredLossesHook'))
    """

    _kept: Sequence[dict] = ()  # before the training there are none

    def before_train(self, runner: Runner) -> None:
        """Find out how often the runner logs.

        Args:
            runner (Runner): The runner.
        """
        super().before_train(runner)
        self._interval = min((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), default=1)
        self._kept = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Keep the step's losses on the device; pass on all kept losses just before the logger reads them.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Number of the step in its epoch.
            data_batch (Any): Not used.
            outputs (dict, optional): The step's losses, scalars. Defaults to None.
        """
        if outputs:
            self._kept.append(outputs)
        if self.every_n_inner_iters(batch_idx, self._interval) or self.end_of_epoch(runner.train_dataloader, batch_idx):
            self._hand_on(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the kept losses into a checkpoint that is written between two lines of the log.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): The checkpoint, with the message hub as it was.
        """
        if self._kept:
            self._hand_on(runner)
            checkpoint['message_hub']['log_scalars'] = runner.message_hub.state_dict()['log_scalars']

    def after_train(self, runner: Runner) -> None:
        """Pass on the remaining losses.

        Args:
            runner (Runner): The runner.
        """
        self._hand_on(runner)
        super().after_train(runner)

    def _hand_on(self, runner: Runner) -> None:
        names = [name for losses in self._kept for name in losses]
        if not names:
            return
        values = [torch.as_tensor(value).float() for losses in self._kept for value in losses.values()]
        device = next((value.device for value in values if value.device.type != 'cpu'), 'cpu')  # few are on the host
        for name, value in zip(names, torch.stack([value.to(device) for value in values]).tolist()):
            runner.message_hub.update_scalar(f'train/{name}', value)
        self._kept.clear()
