"""Checkpoints that are either complete or absent; a run removes only its own."""

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
from mmlgd.version import __version__

from .loaders import safe_loading
from .resume_check import check_resumable

_BACKEND = 'mmlgd.whole_files'


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

    A run with this hook also reads checkpoints safely, whichever tool starts it: see :func:`mmlgd.safe_loading`.

    Args:
        **kwargs: Arguments of mmengine's hook.

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
        """Choose where and how to write checkpoints.

        Args:
            runner (Runner): The runner.
        """
        local = '://' not in str(self.out_dir or runner.work_dir)
        if local and self.file_client_args is None and self.backend_args in (None, dict(backend='local')):
            self.backend_args = dict(backend=_BACKEND)
        refuse_link(Path(runner.work_dir, 'last_checkpoint'))  # mmengine would write through it
        self._forget_others(runner)
        super().before_train(runner)

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

    def _forget_others(self, runner: Runner) -> None:
        """Forget the checkpoints of other runs that a resumed checkpoint names, so that they are not removed."""
        folder = str(self.out_dir or runner.work_dir)
        if folder != runner.work_dir:  # mmengine will do the same
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
            except UnicodeEncodeError:  # the file last_checkpoint, written last, in a folder whose name is not UTF-8
                write_whole(Path(runner.work_dir, 'last_checkpoint'), os.fsencode(self.last_ckpt))

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


def _is_best(path: object, folder: str) -> bool:
    """Say whether this is a file in the folder, with the name that mmengine gives to a best checkpoint."""
    file = Path(str(path))
    is_named = file.name.startswith('best_') and file.suffix == '.pth'
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
