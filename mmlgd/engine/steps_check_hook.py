"""A check that the ranks of a run take the same steps, and a resumed run those of before."""

from typing import Any

from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmlgd.errors import ConfigError
from mmlgd.registry import HOOKS

_KEY = 'mmlgd_steps'


@HOOKS.register_module()
class StepsCheckHook(Hook):
    """Refuse, before the first step, ranks with unequal batches; say where a resumed run has other ones than before.

    Ranks wait for each other in each step, and the banks gather equally many embeddings from all: a rank with another
    number of steps, or of pictures in its last batch, would leave the others waiting. mmengine's samplers give all
    ranks the same (``round_up=True``, their default).

    A run may go on with another number of processes, another batch size or other pictures; a warning says what that
    changes.

    Examples:
        >>> custom_hooks = [dict(type='mmlgd.StepsCheckHook')]
    """

    def before_train(self, runner: Runner) -> None:
        """Compare the ranks with each other, and the run with the checkpoint it goes on from.

        Args:
            runner (Runner): The runner, resumed if it is to be. Runs by iterations have no last batch and pass.

        Raises:
            ValueError: The ranks have unequal batches; the message has those of all.
        """
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        steps, last = _steps(runner.train_dataloader)
        ranks = all_gather_object((steps, last))
        if len(set(ranks)) > 1:
            told = '; '.join(f'rank {k}: {n} steps, the last of {m} pictures' for k, (n, m) in enumerate(ranks))
            raise ConfigError(
                f'The ranks have unequal batches in an epoch ({told}), and would wait for each other for good. Use '
                f"train_dataloader.sampler=dict(type='DefaultSampler', shuffle=True, round_up=True), which gives some "
                f'pictures twice, or drop_last=True.'
            )
        here = dict(processes=get_world_size(), batch=runner.train_dataloader.batch_size, steps=steps)
        before = runner.message_hub.get_info(_KEY, here)  # a checkpoint has it
        if before != here:
            runner.logger.warning(
                f'This run goes on with {_shown(here)}, and was begun with {_shown(before)}. Weights, optimizer, banks '
                f'and queue are those of the checkpoint, on all ranks. So are the learning rate, which suits the old '
                f'number of pictures a step, and its schedule, which counts steps: with more of them in an epoch it '
                f'ends before the run does, with fewer it never ends. Keep processes x train_dataloader.batch_size to '
                f'keep both.'
            )
        runner.message_hub.update_info(_KEY, here)


def _steps(loader: Any) -> tuple:
    """Count a loader's batches, and the pictures of its last one, if its sampler says how many it has."""
    steps, size = len(loader), loader.batch_size
    if size is None:  # a batch sampler of the user's own
        return steps, None
    return steps, size if loader.drop_last else len(loader.sampler) - (steps - 1) * size


def _shown(steps: dict) -> str:
    return f'{steps["processes"]} processes x {steps["batch"]} pictures, {steps["steps"]} steps an epoch'
