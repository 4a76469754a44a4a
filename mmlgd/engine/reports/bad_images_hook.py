"""Reports bad images from the data loader's workers to the log."""

from typing import Any, Optional

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmlgd.datasets.bad_images import BadImages, bad_images_of, count_text, report_text
from mmlgd.registry import HOOKS

from .summary_hook import SummaryHook


@HOOKS.register_module()
class BadImagesHook(Hook):
    """Report each bad image once, stop the run if there are more than allowed, and count them at the end.

    A data loader's workers do not know each other's bad images, so the batches carry the reports, see
    :class:`~mmlgd.datasets.Images`. The ranks exchange their reports at the end of an epoch. Until then, each rank
    applies the limit by itself, and the main rank reports only its own batches.

    Examples:
        >>> default_hooks = dict(bad_images=dict(type='mmlgd.BadImagesHook'))
    """

    def before_train(self, runner: Runner) -> None:
        """Read the policy of the data set.

        Args:
            runner (Runner): The runner.
        """
        self._bad: dict[str, str] = {}
        self._batches = 0
        dataset = runner.train_dataloader.dataset
        while not hasattr(dataset, 'bad_images') and hasattr(dataset, 'dataset'):  # repeated, balanced
            dataset = dataset.dataset
        self._policy: Optional[BadImages] = getattr(dataset, 'bad_images', None)
        self._images = getattr(dataset, 'num_images', len(dataset))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Take the reports out of a batch.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Not used.
            data_batch (dict): The batch.

        Raises:
            TooManyBadImagesError: There are more than allowed.
        """
        self._batches += 1
        for bad in bad_images_of(data_batch):
            self._add(runner, bad)

    def after_train_epoch(self, runner: Runner) -> None:
        """Combine the reports of all ranks.

        Args:
            runner (Runner): The runner.

        Raises:
            TooManyBadImagesError: There are more than allowed, on all ranks together.
        """
        for bad in all_gather_object(self._bad):
            self._add(runner, bad)

    def after_train(self, runner: Runner) -> None:
        """Store the count for the summary.

        Args:
            runner (Runner): The runner.
        """
        # Nothing to tell of a data set that checks no images, nor of images that this process has not all read: a run
        # that was resumed at its end.
        if not self._bad and (self._policy is None or self._batches < len(runner.train_dataloader)):
            return
        text = count_text(len(self._bad), self._images)
        runner.message_hub.update_info('bad_images', text, resumed=False)
        if not any(isinstance(hook, SummaryHook) for hook in runner.hooks):
            runner.logger.info(text)

    def _add(self, runner: Runner, bad: dict[str, str]) -> None:
        new = {path: reason for path, reason in bad.items() if path not in self._bad}
        if not new:
            return
        self._bad.update(new)
        if is_main_process():
            for path, reason in new.items():
                runner.logger.warning(report_text(path, reason))
        if self._policy is not None:
            self._policy.require_few(self._bad, self._images)
