"""The news of bad images, from the processes that read them to the log."""

from typing import Any, Optional

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmlgd.datasets.pictures import BadPictures, bad_pictures_of, count_text, report_text
from mmlgd.registry import HOOKS

from .summary_hook import SummaryHook


@HOOKS.register_module()
class BadPicturesHook(Hook):
    """Report each bad image once, stop where there are more than may be left out, and count them in the end.

    A data loader's processes know of no other's; the batches bring the news, see
    :class:`~mmlgd.datasets.Pictures`. Ranks tell each other at the end of an epoch: until then, each stops at the limit
    by itself, and the main one reports those of its own batches.

    Examples:
        >>> default_hooks = dict(bad_pictures=dict(type='mmlgd.BadPicturesHook'))
    """

    def before_train(self, runner: Runner) -> None:
        """Look at the policy of the data set.

        Args:
            runner (Runner): The runner.
        """
        self._bad: dict[str, str] = {}
        dataset = runner.train_dataloader.dataset
        while not hasattr(dataset, 'bad_pictures') and hasattr(dataset, 'dataset'):  # repeated, balanced
            dataset = dataset.dataset
        self._policy: Optional[BadPictures] = getattr(dataset, 'bad_pictures', None)
        self._pictures = getattr(dataset, 'num_pictures', len(dataset))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Take the news out of a batch.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Not used.
            data_batch (dict): The batch.

        Raises:
            TooManyBadPicturesError: There are more than may be left out.
        """
        for bad in bad_pictures_of(data_batch):
            self._add(runner, bad)

    def after_train_epoch(self, runner: Runner) -> None:
        """Join what the ranks know.

        Args:
            runner (Runner): The runner.

        Raises:
            TooManyBadPicturesError: There are more than may be left out, on all ranks together.
        """
        for bad in all_gather_object(self._bad):
            self._add(runner, bad)

    def after_train(self, runner: Runner) -> None:
        """Count, for the summary if there is one.

        Args:
            runner (Runner): The runner.
        """
        if self._policy is None and not self._bad:  # images of a data set that looks at none
            return
        text = count_text(len(self._bad), self._pictures)
        runner.message_hub.update_info('bad_pictures', text, resumed=False)
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
            self._policy.require_few(self._bad, self._pictures)
