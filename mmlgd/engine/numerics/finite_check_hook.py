"""Stops a run at the first step with non-finite numbers, and saves the step for replay."""

import shlex
from collections import deque
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.dist import all_reduce, get_dist_info
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor

from mmlgd.errors import MMLGDError, sentence
from mmlgd.models.guided import Guided
from mmlgd.models.lgd import LGD
from mmlgd.models.precision import precision_settings
from mmlgd.registry import HOOKS
from mmlgd.utils.models import plain_model

from .step_record import ANY_LOSS, StepRecord

_SAID = {
    'teacher': "the teacher's embedding",
    'student': "the student's embedding",
    'teacher_places': "the teacher's embeddings of places",
    'student_places': "the student's embeddings of places",
    'weights': 'the weights after it',
    ANY_LOSS: 'a part of the loss',
}


class NonFiniteError(MMLGDError, FloatingPointError):
    """A loss or an embedding is NaN or Inf, or a teacher's embedding is zero."""


@HOOKS.register_module()
class FiniteCheckHook(Hook):
    """Stop at the first step with a NaN or Inf in a loss or an embedding, or with a zero embedding from the teacher.

    The error names step, part, teacher and images. The hook saves the step of a pre-training in
    ``WORK_DIR/broken_steps/`` with the weights before it, for :func:`mmlgd.replay`. It prevents a checkpoint with
    broken weights and keeps the older ones. Gradients that overflow in half precision do not stop the run: the loss
    scaler handles them.

    On a GPU the host reads a step's result one step later, so that it never waits; meanwhile the banks ignore broken
    embeddings. The hook keeps the last three steps (on a CPU two) in memory, each with its inputs and a copy of student
    and banks; of a :class:`~mmlgd.Guided` model, a copy of the guide.

    Examples:
        >>> default_hooks = dict(finite=dict(type='mmlgd.FiniteCheckHook'))
    """

    priority = 'HIGH'  # before averaged weights, schedules and checkpoints use the step

    def before_train(self, runner: Runner) -> None:
        """Listen to the model's inputs and to its loss.

        Args:
            runner (Runner): The runner.
        """
        self._model = plain_model(runner)
        self._steps: deque[StepRecord] = deque()
        self._handles = []
        if not isinstance(self._model, (LGD, Guided)):
            runner.logger.info('FiniteCheckHook: this model has no teacher; nothing is checked.')
            return
        self._part = self._model.guide if isinstance(self._model, Guided) else self._model
        self._handles = [
            self._model.register_forward_pre_hook(self._see_inputs, with_kwargs=True),
            self._part.criterion.register_forward_hook(self._see_compared),
            self._model.register_forward_hook(self._see_losses, with_kwargs=True),
        ]
        self._delay = self._delay_on(next(self._model.parameters()).device)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Check the results that have arrived, and start recording a step.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Number of the step in its epoch.
            data_batch (Any): Not used.

        Raises:
            NonFiniteError: A step was broken.
        """
        if not self._handles:
            return
        self._examine(runner, but=self._delay)
        # The step before a broken one is kept as well: its gradient may be what broke the weights.
        record = self._steps.popleft() if len(self._steps) == self._delay + 2 else StepRecord(self._part)
        record.start(epoch=runner.epoch, batch=batch_idx, iter=runner.iter)
        self._steps.append(record)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Close the record of the step.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Number of the step in its epoch.
            data_batch (Any): Not used.
            outputs (dict, optional): Not used.

        Raises:
            NonFiniteError: A step was broken.
        """
        if not self._handles:
            return
        self._steps[-1].finish()
        if not self._delay:
            self._examine(runner)
        if any(_saves_now(hook, runner) for hook in runner.hooks):  # mmengine's hook removes old ones first
            self._check_weights(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Check all remaining steps and the weights, before checkpoint and evaluation.

        Args:
            runner (Runner): The runner.

        Raises:
            NonFiniteError: A step was broken, or the last one broke the weights.
        """
        if self._handles:
            self._check_weights(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Prevent a checkpoint that cannot be resumed from.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): Not used; the model is checked.

        Raises:
            NonFiniteError: A step was broken, or the last one broke the weights.
        """
        if self._handles:
            self._check_weights(runner, alone=True)  # mmengine may call it on the main process only

    def after_train(self, runner: Runner) -> None:
        """Check the remaining steps, and remove the listeners.

        Args:
            runner (Runner): The runner.

        Raises:
            NonFiniteError: A step was broken, or the last one broke the weights.
        """
        if self._handles:
            self._check_weights(runner)
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._steps.clear()

    @staticmethod
    def _delay_on(device: torch.device) -> int:
        """Return the number of steps until a step's result is available without waiting."""
        return 1 if device.type == 'cuda' else 0

    def _see_inputs(self, model: BaseModel, args: tuple, kwargs: dict) -> None:
        if kwargs.get('mode') == 'loss' and self._steps:
            self._steps[-1].see_inputs({key: value for key, value in kwargs.items() if key != 'mode'})

    def _see_compared(self, criterion: torch.nn.Module, args: tuple, losses: dict) -> None:
        self._compared = args[:2]  # the student's embeddings, the teacher's

    def _see_losses(self, model: BaseModel, args: tuple, kwargs: dict, losses: Any) -> None:
        if kwargs.get('mode') == 'loss' and self._steps and self._steps[-1].inputs:
            # A detector has a list of them for its levels.
            means = {
                name: sum(level.mean() for level in value) if isinstance(value, list) else value
                for name, value in losses.items()
                if 'loss' in name and (isinstance(value, Tensor) or len(value))
            }
            self._steps[-1].see_outputs(*self._compared, means)
            self._compared = ()  # they hold the graph of the step

    def _examine(self, runner: Runner, but: int = 0) -> None:
        """Read the result of each open record, except the latest ones."""
        for k in range(len(self._steps) - but):
            if not self._steps[k].examined:
                own, anywhere = self._steps[k].broken()
                if anywhere:
                    raise NonFiniteError(self._report(runner, k, own, anywhere))

    def _check_weights(self, runner: Runner, alone: bool = False) -> None:
        """Check all steps, then the weights; this waits for the device once."""
        self._examine(runner)
        # Of the buffers, those of a checkpoint: others may hold Inf by right, such as masks of attention.
        state = {**dict(self._model.named_parameters()), **self._model.state_dict()}
        values = [value.detach() for value in state.values() if value.is_floating_point()]
        broken = 1 - torch.stack([value.isfinite().all() for value in values]).all().float()
        if not alone:
            all_reduce(broken, 'max')
        if broken.item():
            raise NonFiniteError(self._report(runner, len(self._steps) - 1, ['weights'], ['weights']))

    def _report(self, runner: Runner, k: int, own: list[str], anywhere: list[str]) -> str:
        """Save a broken step and describe it."""
        record = self._steps[k]
        where = (
            f'Step {record.place["iter"] + 1} (epoch {record.place["epoch"] + 1}, batch {record.place["batch"] + 1})'
        )
        parts = ', '.join(_SAID.get(part, part) for part in anywhere)
        said = [f'{where} has NaN or Inf{" (or 0)" if {"teacher", "teacher_places"} & {*anywhere} else ""} in {parts}.']
        if not own:
            said.append('This was found on another rank, whose message says more; this rank stops as well.')
            return ' '.join(said)
        said += self._causes(record)
        before = [] if own == ['weights'] else record.broken_state()
        if before:
            said.append(f'{len(before)} tensors of the model were broken before this step, the first {before[0]}.')
        if not isinstance(self._model, LGD):  # a replay would need the ground truth of its library
            return ' '.join(said)
        said.append(self._keep(runner, record, own))
        if k > 0 and set(before) & {name for name, _ in self._model.named_parameters()}:
            said.append(f'The update of the previous step broke them. {self._keep(runner, self._steps[k - 1], [])}')
        last = runner.message_hub.runtime_info.get('last_ckpt')
        said.append(f'The last good checkpoint: {last}.' if last else 'There is no checkpoint yet.')
        return ' '.join(said)

    def _causes(self, record: StepRecord) -> list[str]:
        """Name the images with broken pixels, and the images with broken embeddings."""
        paths, teacher = record.paths(), self._part.teacher
        images = _names(~record.inputs['inputs'].flatten(1).isfinite().all(dim=1), paths)
        embeddings = _names(~record.taught, paths)
        said = []
        if images:
            said.append(f'NaN or Inf is in the pixels of {images}: check the train pipeline.')
        if embeddings:
            said.append(
                f'The teacher {teacher.identity} gives a zero, NaN or Inf for {embeddings}. If the pixels are not '
                f'broken, its weights are, or half precision overflows: use bfloat16 or float32.'
            )
        return said or [
            'Usual causes are a too high learning rate or a float16 overflow: lower optim_wrapper.optimizer.lr, '
            'set optim_wrapper.clip_grad=dict(max_norm=1.0), or use bfloat16.'
        ]

    def _keep(self, runner: Runner, record: StepRecord, broken: list[str]) -> str:
        rank, world_size = get_dist_info()
        file = Path(runner.work_dir) / 'broken_steps' / f'iter_{record.place["iter"] + 1}_rank_{rank}.pth'
        cfg = runner.cfg.copy()
        if wrapper := cfg.get('optim_wrapper'):
            cfg.optim_wrapper = precision_settings(wrapper)  # resolved here: another machine may have another precision
        meta = dict(cfg=cfg.pretty_text, seed=runner.seed, rank=rank, world_size=world_size)
        try:
            record.save(file, self._model.state_dict(), meta, broken)
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError for a full disk
            return f'The step could not be saved in {file}: {sentence(error)}'
        return f'The step is saved. Run it again with: mmlgd replay {shlex.quote(str(file))}'


def _saves_now(hook: Hook, runner: Runner) -> bool:
    return (
        isinstance(hook, CheckpointHook)
        and not hook.by_epoch
        and (hook.every_n_train_iters(runner, hook.interval) or hook.is_last_train_iter(runner))
    )


def _names(which: torch.Tensor, paths: list[str]) -> str:
    found = [path for path, broken in zip(paths, which.tolist()) if broken]
    return (
        f'{len(found)} of {len(paths)} images ({", ".join(found[:3])}{", ..." if found[3:] else ""})' if found else ''
    )
