"""The summary of a run: its time, its checkpoint, and what to do next."""

import shlex
import time
from datetime import timedelta

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner

from mmlgd.registry import HOOKS
from mmlgd.utils.paths import short_path

from .answers_hook import FEW
from .progress_hook import data_wait

SLOW = 0.3  # share of a step: above this, more workers help


@HOOKS.register_module()
class SummaryHook(Hook):
    """End the log of a pre-training run with what it learnt, its bad images, its checkpoint and the next commands.

    Examples:
        >>> default_hooks = dict(summary=dict(type='mmlgd.SummaryHook'))
    """

    priority = 'LOWEST'  # after the last checkpoint and the curves

    def before_train(self, runner: Runner) -> None:
        """Store the start time.

        Args:
            runner (Runner): The runner.
        """
        self._started = time.monotonic()

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Write the summary.

        Args:
            runner (Runner): The runner, after training.
        """
        took = timedelta(seconds=round(time.monotonic() - self._started))
        wait = data_wait(runner)
        told = [runner.message_hub.runtime_info.get(what) for what in ('answers', 'bad_images')]
        lines = [
            f'Done: {runner.epoch} epochs. This run took {took}; {100 * wait:.0f} % of a step is waiting for images.'
        ]
        lines += [text for text in (*told, _on_evaluation(runner.message_hub)) if text]
        if wait > SLOW:
            lines.append(
                'Reading images is the bottleneck: increase train_dataloader.num_workers, or use augmentation on the '
                'GPU (docs/guide.md, "Faster images").'
            )
        checkpoint = runner.message_hub.runtime_info.get('last_ckpt')
        if checkpoint is None:
            lines.append('No checkpoint was written: this config has no CheckpointHook, or its interval is too long.')
        else:
            student = short_path(checkpoint)
            lines += [
                f'The student: {student}',
                'Next: see what it answers, evaluate it, train a detector or segmentor from it, or export it:',
            ]
            lines += [f'  {command}' for command in next_commands(student)]
        runner.logger.info('\n'.join(lines))


def next_commands(checkpoint: str) -> list[str]:
    """Write the commands that use a student.

    Args:
        checkpoint (str): Checkpoint of pre-training.

    Returns:
        List[str]: Commands, with placeholders in capitals for the user's files.

    Examples:
        >>> len(next_commands('work_dirs/RUN/epoch_200.pth'))
        5
    """
    student = shlex.quote(checkpoint)
    return [
        f'mmlgd predict {student} IMAGES',
        f'mmlgd evaluate {student} --data DATA --names NAMES',
        f'mmlgd detect --data DIR --student {student}  # or segment; or your own config: mmlgd train CONFIG',
        f"init_cfg=dict(type='Pretrained', checkpoint={checkpoint!r}, prefix='backbone.')  # in its model.backbone",
        f'mmlgd export {student} student.pth --to torchvision',
    ]


def _on_evaluation(hub: MessageHub) -> str:
    """Say what the student answers for images that it was not trained on, if the run was evaluated on some."""
    keys = [f'val/distillation/{name}' for name in ('agreement', 'effective_classes', 'teacher_effective_classes')]
    if not {*keys} <= {*hub.log_scalars}:
        return ''
    agreement, used, its = (hub.get_scalar(key).current() for key in keys)
    told = f'On the evaluation images it agrees on {agreement:.1f} %, and uses {used:.1f} names where the teacher uses '
    told += f'{its:.1f}.'
    return f'{told} There it has collapsed onto few names: more steps will help.' if used < FEW * its else told
