"""Checkpoints that are whole or not there, and of which a run removes its own alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Union

from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner, find_latest_checkpoint

from mmlgd.registry import HOOKS
from mmlgd.utils.files import refuse_link, write_whole

from .loaders import safe_loading
from .resume_check import check_resumable

_BACKEND = 'mmlgd.whole_files'


class WholeFileBackend(LocalBackend):
    """mmengine's access to local files, by :func:`mmlgd.utils.files.write_whole`. It removes files alone."""

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

    def rmtree(self, dir_path: Union[str, Path]) -> None:
        """Leave a folder where it is: no checkpoint of a run with this backend is one."""


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
        if local and self.file_client_args is None and self.backend_args in (None, dict(backend='local')):
            self.backend_args = dict(backend=_BACKEND)
        refuse_link(Path(runner.work_dir, 'last_checkpoint'))  # mmengine would write through it
        self._forget_others(runner)
        super().before_train(runner)

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

    def _forget_others(self, runner: Runner) -> None:
        """Keep of what a resumed checkpoint tells of others what is this run's own: the rest is not to be removed."""
        folder = str(self.out_dir or runner.work_dir)
        if folder != runner.work_dir:  # as mmengine is about to do
            folder = os.path.join(folder, os.path.basename(runner.work_dir.rstrip(os.sep)))
        told = runner.message_hub.runtime_info
        ours = _is_resumed_from(runner, folder)
        for key in [key for key in told if key.startswith('best_ckpt')]:
            if not (ours and _is_best(told[key], folder)):
                del told[key]
        if not ours:
            told.pop('keep_ckpt_ids', None)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        with self._removing_last():
            try:
                super()._save_checkpoint_with_step(runner, step, meta)
            except UnicodeEncodeError:  # of the note, which comes last, in a folder whose name is no UTF-8
                write_whole(Path(runner.work_dir, 'last_checkpoint'), os.fsencode(self.last_ckpt))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if self.save_best:  # also asked in a validation without training, before there is a backend
            with self._removing_last():
                super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _removing_last(self) -> Iterator[None]:
        """Let what mmengine removes meanwhile go when all is written, and stay where something is not."""
        backend = self.file_backend
        self.file_backend = later = _RemovesLater(backend)
        try:
            yield
        finally:
            self.file_backend = backend
        for path in later.outdated:
            backend.remove(path)


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
    """A file backend that keeps a list of the files that it is to remove, and leaves folders."""

    def __init__(self, backend: LocalBackend):
        self._backend = backend
        self.outdated: list[str] = []

    def __getattr__(self, name: str):
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.outdated.append(path)

    def rmtree(self, path: str) -> None:
        pass
