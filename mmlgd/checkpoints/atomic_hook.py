"""Checkpoints that are either complete or absent; a run removes only its own."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import IterBasedTrainLoop, Runner, find_latest_checkpoint

from mmlgd.registry import HOOKS
from mmlgd.utils.files import refuse_link, write_whole
from mmlgd.utils.validation import above_zero
from mmlgd.version import __version__

from .files import CheckpointError
from .last import begin_anew
from .loaders import safe_loading
from .resume_check import check_resumable

_BACKEND = 'mmlgd.whole_files'
_BETWEEN = 'between_ckpt'  # in the message hub: the checkpoint between two of the interval
INSIDE = 'mmlgd_inside'  # in a checkpoint's meta: the steps of an epoch that are done, and all of them


class WholeFileBackend(LocalBackend):
    """mmengine's backend for local files, with :func:`mmlgd.utils.files.write_whole`. It removes only files."""

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write a file.

        Args:
            obj (bytes): Its content.
            filepath (str | Path): Its place; missing folders are created.

        Raises:
            WriteError: The disk is full, or the folder not writable.
        """
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        write_whole(filepath, obj)

    def rmtree(self, dir_path: Union[str, Path]) -> None:
        """Do nothing: with this backend, no checkpoint is a folder."""


register_backend(_BACKEND, WholeFileBackend, force=True)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """``CheckpointHook`` that is safe against a kill and a full disk at any moment.

    mmengine's hook removes the oldest checkpoint and then writes the new one in place. A stop in between leaves fewer
    checkpoints than before; with ``max_keep_ckpts=1``, none. This hook writes a new file beside its place, renames it,
    and removes old ones last; for a moment, the disk holds one checkpoint more. Other storage (``s3://...``) uses its
    own backend.

    The hook removes only files, and only those of this run. A checkpoint names older checkpoints, which mmengine
    removes after a resume. This hook removes them only if the resumed checkpoint lies among the run's own, and only if
    they lie there and have the name of a checkpoint. A run that resumes from a file elsewhere removes nothing older.

    Beside the checkpoints of its interval, it writes one when ten minutes have passed since the last, as
    ``iter_STEPS.pth``, and one when a signal stops the run. The next checkpoint replaces it. Inside an epoch it does so
    only if the loop can go on there, as :class:`mmlgd.engine.EpochTrainLoop` and mmengine's ``IterBasedTrainLoop`` can.

    A run with this hook also reads checkpoints safely, whichever tool starts it: see :func:`mmlgd.safe_loading`.

    Args:
        *args: Arguments of mmengine's hook.
        minutes (float, optional): Time between two checkpoints at most, > 0. None: only those of the interval. Defaults
            to 10.
        **kwargs: Arguments of mmengine's hook.

    Examples:
        >>> default_hooks = dict(checkpoint=dict(type='mmlgd.AtomicCheckpointHook', interval=5, max_keep_ckpts=2))
    """

    def __init__(self, *args, minutes: Optional[float] = 10.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.minutes = None if minutes is None else above_zero(minutes)
        self._saved: Optional[tuple[int, float]] = None  # steps in the last checkpoint, or at the start; and the time

    def before_run(self, runner: Runner) -> None:
        """Read checkpoints as data in this process: upstream's loader refuses those of training since torch 2.6.

        Args:
            runner (Runner): The runner.
        """
        safe_loading()
        super().before_run(runner)

    def before_train(self, runner: Runner) -> None:
        """Choose where and how to write checkpoints.

        Args:
            runner (Runner): The runner.
        """
        local = '://' not in str(self.out_dir or runner.work_dir)
        if local and self.file_client_args is None and self.backend_args in (None, dict(backend='local')):
            self.backend_args = dict(backend=_BACKEND)
        refuse_link(Path(runner.work_dir, 'last_checkpoint'))  # mmengine would write through it
        if not runner._resume and is_main_process():
            begin_anew(runner.work_dir)
        self._forget_others(runner)
        super().before_train(runner)
        self._saved = (runner.iter, time.monotonic())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the version of mmlgd beside that of mmengine, for a report on the run.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): What is about to be written.
        """
        checkpoint['meta']['mmlgd_version'] = __version__

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to resume from a checkpoint of another training.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): As it was read. The part of its optimizer state that does not fit the run is removed.

        Raises:
            CheckpointError: It is a published file, or of another model, optimizer or schedule; the message says what
                is missing or differs.
        """
        if runner._resume:
            check_resumable(runner, checkpoint, runner._load_from or 'The checkpoint')
            _go_on_inside(runner, checkpoint['meta'].get(INSIDE))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Write a checkpoint if it is time.

        Args:
            runner (Runner): The runner.
            batch_idx (int): The step of the epoch.
            data_batch (Any): Not used.
            outputs (dict, optional): Not used.
        """
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        is_last = self.end_of_epoch(runner.train_dataloader, batch_idx) and not _counts_steps(runner)
        if self._is_due(runner) and not is_last and _can_go_on(runner, runner.iter + 1):
            self._save_between(runner, runner.epoch, runner.iter + 1, batch_idx + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Write a checkpoint at the end of an epoch, if the interval says so, or if it is time.

        Args:
            runner (Runner): The runner.
        """
        super().after_train_epoch(runner)
        if self._is_due(runner) and not _counts_steps(runner):
            self._save_between(runner, runner.epoch + 1, runner.iter, 0)

    def save_stopped(self, runner: Runner) -> Optional[str]:
        """Write a checkpoint of a run that was stopped between two steps, unless its steps are in one already.

        Args:
            runner (Runner): The runner.

        Returns:
            str, optional: The checkpoint with these steps. None if there is none, and none can be written here.
        """
        inside = getattr(runner.train_loop, 'inside', 0)
        if self._saved is None:  # before the first step
            return None
        if self._saved[0] != runner.iter and is_main_process() and _can_go_on(runner, runner.iter):
            self._save_between(runner, runner.epoch, runner.iter, inside)
        return runner.message_hub.runtime_info.get('last_ckpt') if self._saved[0] == runner.iter else None

    def _is_due(self, runner: Runner) -> bool:
        waited = time.monotonic() - self._saved[1]
        return self.minutes is not None and waited >= 60 * self.minutes and is_main_process()

    def _save_between(self, runner: Runner, epoch: int, steps: int, inside: int) -> None:
        """Write a checkpoint that the next one replaces."""
        hub, meta = runner.message_hub, dict(epoch=epoch, iter=steps)
        if inside and not _counts_steps(runner):
            meta[INSIDE] = dict(done=inside, steps=len(runner.train_dataloader))
        name = f'iter_{steps}.pth'
        before, last = hub.runtime_info.get(_BETWEEN), self.file_backend.join_path(self.out_dir, name)
        for key in (_BETWEEN, 'last_ckpt'):
            hub.update_info(key, last)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=False,
            backend_args=self.backend_args,
        )
        write_whole(Path(runner.work_dir, 'last_checkpoint'), os.fsencode(last))
        self.last_ckpt, self._saved = last, (steps, time.monotonic())
        self._remove(before, last)

    def _remove(self, before: Optional[str], last: Optional[str]) -> None:
        if before and before != last and self.file_backend.isfile(before):
            self.file_backend.remove(before)

    def _forget_others(self, runner: Runner) -> None:
        """Forget the checkpoints of other runs that a resumed checkpoint names, so that they are not removed."""
        folder = str(self.out_dir or runner.work_dir)
        if folder != runner.work_dir:  # mmengine will do the same
            folder = os.path.join(folder, os.path.basename(runner.work_dir.rstrip(os.sep)))
        told = runner.message_hub.runtime_info
        ours = _is_resumed_from(runner, folder)
        for key in [key for key in told if key.startswith('best_ckpt')]:
            if not (ours and _is_own(told[key], folder, r'best_.*\.pth')):
                del told[key]
        if not ours:
            told.pop('keep_ckpt_ids', None)
        if _BETWEEN in told and not (ours and _is_own(told[_BETWEEN], folder, r'iter_\d+\.pth')):
            del told[_BETWEEN]

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        before = runner.message_hub.runtime_info.pop(_BETWEEN, None)
        with self._removing_last():
            try:
                super()._save_checkpoint_with_step(runner, step, meta)
            except UnicodeEncodeError:  # the file last_checkpoint, written last, in a folder whose name is not UTF-8
                write_whole(Path(runner.work_dir, 'last_checkpoint'), os.fsencode(self.last_ckpt))
        self._saved = (meta['iter'], time.monotonic())
        if is_main_process():
            self._remove(before, self.last_ckpt)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if self.save_best:  # also called in a validation without training, before there is a backend
            with self._removing_last():
                super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _removing_last(self) -> Iterator[None]:
        """Postpone mmengine's removals until everything is written; drop them if writing fails."""
        backend = self.file_backend
        self.file_backend = later = _RemovesLater(backend)
        try:
            yield
        finally:
            self.file_backend = backend
        for path in later.outdated:
            backend.remove(path)


def _is_resumed_from(runner: Runner, folder: str) -> bool:
    """Say whether the checkpoint that a run resumes from lies directly in this folder."""
    source = runner._resume and (runner._load_from or find_latest_checkpoint(runner.work_dir))
    return bool(source) and '://' not in source and Path(source).resolve().parent == Path(folder).resolve()


def _counts_steps(runner: Runner) -> bool:
    return isinstance(runner.train_loop, IterBasedTrainLoop)


def _can_go_on(runner: Runner, steps: int) -> bool:
    """Say whether a run can go on after so many steps: also inside an epoch, and with no gradient half collected."""
    is_whole = steps % getattr(runner.optim_wrapper, '_accumulative_counts', 1) == 0
    return is_whole and (_counts_steps(runner) or hasattr(runner.train_loop, 'inside'))


def _go_on_inside(runner: Runner, inside: Any) -> None:
    """Let the loop of a resumed run go on where the checkpoint was written inside an epoch."""
    if not isinstance(inside, dict):
        return
    if not hasattr(runner.train_loop, 'inside'):
        raise CheckpointError(
            f'The checkpoint was written inside an epoch, and the loop of this config starts with whole epochs. Set '
            f"train_cfg.type='mmlgd.EpochTrainLoop' instead of {type(runner.train_loop).__name__}, or give epoch_*.pth."
        )
    done, steps, here = inside.get('done'), inside.get('steps'), len(runner.train_dataloader)
    if steps == here and isinstance(done, int) and 0 <= done <= steps:
        runner.train_loop.inside = done
    else:
        runner.logger.warning(
            f'The checkpoint was written after {done} of {steps} steps of an epoch, and an epoch now has {here}: it '
            f'starts again from its beginning.'
        )


def _is_own(path: object, folder: str, name: str) -> bool:
    """Say whether this is a file in the folder, with a name that mmengine or this hook gives to a checkpoint."""
    file = Path(str(path))
    is_named = re.fullmatch(name, file.name) is not None
    return is_named and file.parent.resolve() == Path(folder).resolve() and file.is_file() and not file.is_symlink()


class _RemovesLater:
    """A file backend that lists the files to remove instead of removing them, and never removes folders."""

    def __init__(self, backend: LocalBackend):
        self._backend = backend
        self.outdated: list[str] = []

    def __getattr__(self, name: str):
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.outdated.append(path)

    def rmtree(self, path: str) -> None:
        pass
