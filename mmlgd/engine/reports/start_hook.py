"""The start of a run: what is trained, where it goes, and how long it will take here."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmlgd.errors import shown
from mmlgd.models.lgd import LGD
from mmlgd.models.teachers.settings import updated
from mmlgd.registry import HOOKS
from mmlgd.text import counted
from mmlgd.utils.configs import kind_of
from mmlgd.utils.duration import duration
from mmlgd.utils.models import plain_model
from mmlgd.utils.paths import short_path

_WARM_UP = 3  # steps that are not measured: of a first step, memory and compilation take most of the time
_ENOUGH = 8  # steps that are measured, and
_SECONDS = 4.0  # that long: a few steps on a GPU take milliseconds
_LONG = 3600.0  # seconds; a longer run without a GPU gets advice


@HOOKS.register_module()
class StartHook(Hook):
    """Say before the first step what is trained, and soon after it how long the run takes on this machine.

    The estimate comes from the first steps of the run itself, and again from its first whole epoch. Evaluations are
    not in it. Later, ``eta`` in the log and in the bar of a terminal continues it.

    Examples:
        >>> default_hooks = dict(start=dict(type='mmlgd.StartHook'))
    """

    priority = 'LOWEST'  # after the checks

    def before_train(self, runner: Runner) -> None:
        """Log what is trained.

        Args:
            runner (Runner): The runner.
        """
        self._begin: Optional[tuple[int, float]] = None  # steps that were done, and the time
        self._epoch: Optional[tuple[int, float]] = None
        self._is_told = not is_main_process()
        if is_main_process():
            lines = dict(_lines(runner))
            width = max(map(len, lines))
            told = '\n'.join(f'  {name:{width}}  {value}' for name, value in lines.items())
            runner.logger.info(f'This run:\n{told}')

    def before_train_epoch(self, runner: Runner) -> None:
        """Start to measure the first whole epoch of this run.

        Args:
            runner (Runner): The runner.
        """
        if self._epoch is None:
            self._epoch = (runner.iter, time.monotonic())

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Estimate the time of the run from a few steps.

        Args:
            runner (Runner): The runner.
            batch_idx (int): The step of the epoch.
            data_batch (Any): Not used.
            outputs (dict, optional): Not used.
        """
        done = runner.iter + 1
        if self._is_told or done == runner.max_iters:
            return
        if self._begin is None:
            if done - self._epoch[0] >= _WARM_UP:
                _wait_for_device()
                self._begin = (done, time.monotonic())
            return
        count, began = self._begin
        if done - count < _ENOUGH or time.monotonic() - began < _SECONDS:
            return
        _wait_for_device()
        self._is_told = True
        self._tell(runner, done, (time.monotonic() - began) / (done - count), f'measured over {done - count} steps')

    def after_train_epoch(self, runner: Runner) -> None:
        """Estimate it again from a whole epoch, which has the pauses between epochs, too.

        Args:
            runner (Runner): The runner.
        """
        count, began = self._epoch
        if count >= 0 and runner.iter > count and is_main_process():
            took = (time.monotonic() - began) / (runner.iter - count)
            if runner.iter < runner.max_iters:
                self._tell(runner, runner.iter, took, f'measured over {runner.iter - count} steps of a whole epoch')
            self._is_told = True
        self._epoch = (-1, 0.0)  # said once

    def _tell(self, runner: Runner, done: int, step: float, how: str) -> None:
        left = step * (runner.max_iters - done)
        at = time.strftime('%H:%M' if left < 12 * 3600 else '%d %B, %H:%M', time.localtime(time.time() + left))
        beside = ', evaluations not counted' if runner.val_loop is not None else ''
        text = f'About {duration(left)} to go on this machine, until {at}: {step:.3g} s a step, {how}{beside}.'
        if left > _LONG and isinstance(plain_model(runner), LGD) and not torch.accelerator.is_available():
            text += ' If that is too long: fewer epochs, smaller images, or a store, which runs the teacher once.'
        runner.logger.info(text)


def _wait_for_device() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def _lines(runner: Runner) -> Iterator[tuple[str, str]]:
    model, loader, settings = plain_model(runner), runner.train_dataloader, runner.cfg.get('model') or {}
    yield 'images', _images(loader.dataset)
    if isinstance(model, LGD):
        yield 'names', counted(model.class_names)
        yield 'teacher', _teacher(settings['teacher'])
        yield 'losses', ', '.join(term.name for term in model.criterion.terms if term.weight > 0)
    yield 'model', _model(model, settings)
    epochs = f'{runner.max_epochs} epochs of {len(loader):,} steps, ' if runner.max_epochs > 1 else ''
    done = f'; {runner.iter:,} are done' if runner.iter else ''
    yield 'steps', f'{runner.max_iters:,}: {epochs}{_batch(loader)} each{done}'
    yield 'device', _device(model)
    folder = short_path(runner.work_dir)
    yield 'folder', shown(folder)
    yield 'log', f'{shown(Path(folder, runner.timestamp))}: all of it, with the whole config'


def _batch(loader: DataLoader) -> str:
    # With a sampler of batches, as detectors have for images of one aspect ratio, the loader has none.
    size = loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None)
    return f'{size} images' if size else 'a batch of its sampler'


def _images(dataset: Any) -> str:
    while not getattr(dataset, 'data_root', None) and hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    views = getattr(dataset, 'num_views', None)  # of a teacher store, around the images
    dataset = getattr(dataset, 'images', dataset)
    place = getattr(dataset, 'data_root', None)
    where = f' in {shown(place)}' if isinstance(place, str) and place else ''
    return f'{len(dataset):,}{where}{f", {views} views of each in the store" if views else ""}'


def _teacher(settings: dict) -> str:
    settings = updated(settings)  # a pair without a share of looks is its words
    if kind_of(settings) == 'TeacherPair':
        looks = settings['looks']
        looks = looks if isinstance(looks, str) else looks['backbone']
        return f'{_teacher(settings["words"])} for names, {shown(str(looks))} for looks'
    if isinstance(settings.get('teacher'), dict):
        return f'{_teacher(settings["teacher"])}, from the store {shown(str(settings.get("store")))}'
    details = (settings.get('model'), settings.get('pretrained'))
    return shown(' '.join([kind_of(settings), *(str(detail) for detail in details if detail)]))


def _model(model: nn.Module, settings: dict) -> str:
    backbone = settings.get('backbone') or {}
    details = [str(backbone[key]) for key in ('model_name', 'arch', 'depth') if key in backbone]
    kind = shown(' '.join([kind_of(backbone), *details])) if backbone else ''
    inside = '' if isinstance(model, LGD) else f'{type(model).__name__}{" on " if kind else ""}'
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    return f'{inside}{kind}, {trained / 1e6:.3g} million weights to train'


def _device(model: nn.Module) -> str:
    device = next(model.parameters()).device
    return torch.cuda.get_device_name(device) if device.type == 'cuda' else f'{device} x {torch.get_num_threads()}'
