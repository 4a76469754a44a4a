"""Checkpoints that are whole or not there, and of which a run removes its own alone."""

import os
from collections import deque
from pathlib import Path
from typing import Union

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner, find_latest_checkpoint

from mmlgd.registry import HOOKS
from mmlgd.utils.files import write_whole

from .loaders import safe_loading
from .resume_check import check_resumable

_BACKEND = 'mmlgd.whole_files'


class WholeFileBackend(LocalBackend):
    """mmengine's access to local files, by :func:`mmlgd.utils.files.write_whole`."""

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write a file.

        Args:
            obj (bytes): Its content.
            filepath (str | Path): Its place; folders are made.

        Raises:
            WriteError: The disk is full, or the folder not writable.
        """
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        write_whole(filepath, obj)


register_backend(_BACKEND, WholeFileBackend, force=True)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """``CheckpointHook`` that is safe against a kill and a full disk at any moment.

    mmengine's own removes the oldest checkpoint, then writes the new one in place: what stops it between leaves less
    than before, with ``max_keep_ckpts=1`` nothing. This one writes beside, renames, and removes last; for a moment
    there is one checkpoint more on the disk. Storage of another kind (``s3://...``) is left to its backend.

    It removes files alone, and those of this run alone. Which older ones are to be replaced, mmengine reads from the
    checkpoint that a run is resumed from: this counts where that lies among the run's own checkpoints, and for files
    there that are named as a checkpoint. What was resumed from a file elsewhere replaces nothing that was there before.

    A run with this hook also reads checkpoints safely, whichever tool starts it: see :func:`mmlgd.safe_loading`.

    Args:
        **kwargs: Those of mmengine's hook.

    Examples:
        >>> default_hooks = dict(checkpoint=dict(type='mmlgd.AtomicCheckpointHook', interval=5, max_keep_ckpts=2))
    """

    def before_run(self, runner: Runner) -> None:
        """Read checkpoints as data in this process: upstream's loader refuses those of training since torch 2.6.

        Args:
            runner (Runner): The runner.
        """
        safe_loading()
        super().before_run(runner)

    def before_train(self, runner: Runner) -> None:
        """Choose where checkpoints go to, and how.

        Args:
            runner (Runner): The runner.
        """
        local = '://' not in str(self.out_dir or runner.work_dir)
        if local and self.backend_args is None and self.file_client_args is None:
            self.backend_args = dict(backend=_BACKEND)
        outdated = self._take_over(runner)
        super().before_train(runner)
        if is_main_process():
            self._remove_steps(outdated)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to resume from what is no checkpoint of this training.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): As it was read; of its optimizer's state, what fits that of the run is left.

        Raises:
            CheckpointError: It is a published file, or of another model, optimizer or schedule; the message says what
                is missing or differs.
        """
        if runner._resume:
            check_resumable(runner, checkpoint, runner._load_from or 'The checkpoint')

    def _take_over(self, runner: Runner) -> list[int]:
        """Keep of what a resumed checkpoint tells of others what is this run's own; list what is to be removed."""
        folder = str(self.out_dir or runner.work_dir)
        if folder != runner.work_dir:  # as mmengine is about to do
            folder = os.path.join(folder, os.path.basename(runner.work_dir.rstrip(os.sep)))
        told = runner.message_hub.runtime_info
        ours = _is_resumed_from(runner, folder)
        for key in [key for key in told if key.startswith('best_ckpt')]:
            if not (ours and _is_best(told[key], folder)):
                del told[key]
        steps = told.pop('keep_ckpt_ids', []) if ours else []
        kept = steps[-self.max_keep_ckpts :] if self.max_keep_ckpts > 0 else []
        told['keep_ckpt_ids'] = kept
        return steps[: len(steps) - len(kept)] if kept else []

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """As mmengine's, in another order."""
        outdated = []
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:  # a new best one saves the same step again
            steps = [*self.keep_ckpt_ids, step]
            outdated, kept = steps[: -self.max_keep_ckpts], steps[-self.max_keep_ckpts :]
            self.keep_ckpt_ids = deque(kept, self.max_keep_ckpts)
            runner.message_hub.update_info('keep_ckpt_ids', kept)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            write_whole(Path(runner.work_dir, 'last_checkpoint'), os.fsencode(self.last_ckpt))
            self._remove_steps(outdated)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """As mmengine's, but what it removes goes when all is written."""
        if not self.save_best:  # also asked in a validation without training, before there is a backend
            return
        backend = self.file_backend
        self.file_backend = later = _RemovesLater(backend)
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        for path in later.outdated:
            self._remove(path)

    def _remove_steps(self, steps: list[int]) -> None:
        for step in steps:
            self._remove(self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step)))

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):  # never a folder
            self.file_backend.remove(path)


def _is_resumed_from(runner: Runner, folder: str) -> bool:
    """Say whether the checkpoint that a run goes on from lies in this folder itself."""
    source = runner._resume and (runner._load_from or find_latest_checkpoint(runner.work_dir))
    return bool(source) and '://' not in source and Path(source).resolve().parent == Path(folder).resolve()


def _is_best(path: object, folder: str) -> bool:
    """Say whether this is a file in a folder that is named as mmengine names the best checkpoint."""
    file = Path(str(path))
    is_named = file.name.startswith('best_') and file.suffix == '.pth'
    return is_named and file.parent.resolve() == Path(folder).resolve() and file.is_file() and not file.is_symlink()


class _RemovesLater:
    """A file backend that keeps a list of what it is to remove."""

    def __init__(self, backend: LocalBackend):
        self._backend = backend
        self.outdated: list[str] = []

    def __getattr__(self, name: str):
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.outdated.append(path)

    rmtree = remove
