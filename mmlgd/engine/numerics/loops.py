"""mmengine's loops of training, which a signal stops between two steps, and which go on inside an epoch."""

from collections.abc import Sequence
from typing import Union

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn

from mmlgd.registry import LOOPS
from mmlgd.utils.stopping import unbroken


@LOOPS.register_module()
class EpochTrainLoop(EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that a signal stops between two steps, and that goes on inside an epoch.

    mmengine's loop starts a resumed run with a whole epoch. This one reads the images of the steps that are done once
    more, without training, so that the processes that read images draw the same random numbers as in an unbroken run.

    Attributes:
        inside (int): Steps of this epoch that are done. A checkpoint has it, and a resumed run sets it.

    Examples:
        >>> train_cfg = dict(type='mmlgd.EpochTrainLoop', max_epochs=200)
    """

    inside = 0

    def run(self) -> nn.Module:
        """Train; of a run that is resumed after its last step, only the evaluation is made again.

        Returns:
            nn.Module: The model.
        """
        return super().run() if self._epoch < self._max_epochs else _finish(self, self._epoch)

    def run_epoch(self) -> None:
        """Train the rest of an epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done = self.inside
        if done:
            self.runner.logger.info(
                f'Going on in epoch {self._epoch + 1} after step {done} of {len(self.dataloader)}: the images of these '
                f'steps are read again, and not trained, so that all random choices follow as in an unbroken run.'
            )
        for index, batch in enumerate(self.dataloader):
            if index < done:
                self.runner.call_hook('after_skipped_iter', batch_idx=index)
                continue
            with unbroken():
                self.run_iter(index, batch)
                self.inside = index + 1
        with unbroken():
            self.runner.call_hook('after_train_epoch')
            self._epoch += 1
            self.inside = 0


@LOOPS.register_module()
class IterTrainLoop(IterBasedTrainLoop):
    """``IterBasedTrainLoop`` that a signal stops between two steps.

    Examples:
        >>> train_cfg = dict(type='mmlgd.IterTrainLoop', max_iters=8000, val_interval=800)
    """

    def run(self) -> nn.Module:
        """Train; of a run that is resumed after its last step, only the evaluation is made again.

        mmengine would read all its batches again.

        Returns:
            nn.Module: The model.
        """
        return super().run() if self._iter < self._max_iters else _finish(self, self._iter)

    def run_iter(self, data_batch: Sequence[dict]) -> None:
        """Take a step.

        Args:
            data_batch (Sequence[dict]): The batch.
        """
        with unbroken():
            super().run_iter(data_batch)


def _finish(loop: Union[EpochTrainLoop, IterTrainLoop], done: int) -> nn.Module:
    """Evaluate after the last step: the last checkpoint is written before that, and may be all that there is."""
    runner = loop.runner
    runner.call_hook('before_train')
    if runner.val_loop is not None and done >= loop.val_begin:
        runner.val_loop.run()
    runner.call_hook('after_train')
    return runner.model
