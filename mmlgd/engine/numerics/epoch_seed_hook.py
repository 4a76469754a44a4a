"""Random numbers that follow from seed, epoch, step and rank: a resumed run draws the same as an unbroken one."""

from typing import Any, Optional

from mmengine.dist import get_rank
from mmengine.hooks import DistSamplerSeedHook
from mmengine.runner import Runner

from mmlgd.registry import HOOKS
from mmlgd.utils.seeds import seed_all


@HOOKS.register_module()
class EpochSeedHook(DistSamplerSeedHook):
    """``DistSamplerSeedHook`` that also seeds the random generators in each epoch, not only the order of the images.

    mmengine seeds only once, at the start: a run resumed in epoch e repeats the random numbers of the first epoch. With
    this hook, the generators of Python, numpy and torch (also on the GPU) start each epoch from (seed, epoch, rank),
    and each further step from these and its number. The data loader's workers follow if
    ``worker_init_fn=dict(type='mmlgd.keep_torch_seeds')`` is set and workers are not persistent: torch draws a
    different seed for each worker from the main process's generator.

    Examples:
        >>> default_hooks = dict(sampler_seed=dict(type='mmlgd.EpochSeedHook'))
    """

    priority = 'LOWEST'  # after all that draws numbers in a step

    def before_train(self, runner: Runner) -> None:
        """Warn about settings that prevent the data loader's workers from following.

        Args:
            runner (Runner): The runner.
        """
        loader = runner.train_dataloader
        if not loader.num_workers:
            return
        seeds = getattr(loader.worker_init_fn, 'func', loader.worker_init_fn)
        found = 'persistent_workers=True' if loader.persistent_workers else ''
        if getattr(seeds, '__module__', '') == 'mmengine.dataset.utils':
            found = found or 'no worker_init_fn, so that mmengine gives each process the same seed in every epoch'
        if found:
            runner.logger.warning(
                f'The train_dataloader has {found}: a stopped and resumed run will see other augmentations '
                f"than an uninterrupted one. Set persistent_workers=False and worker_init_fn=dict(type='mmlgd."
                f"keep_torch_seeds')."
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed the order of the images and all generators.

        Args:
            runner (Runner): The runner.
        """
        super().before_train_epoch(runner)
        seed_all(runner.seed, runner.epoch, get_rank())

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Seed the generators of this process for the next step of the epoch.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Number of the step in its epoch.
            data_batch (Any): Not used.
            outputs (dict, optional): Not used.
        """
        seed_all(runner.seed, runner.epoch, get_rank(), batch_idx + 1)

    def after_skipped_iter(self, runner: Runner, batch_idx: int) -> None:
        """Do the same after a step that :class:`EpochTrainLoop` has skipped, because it is done.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Number of the step in its epoch.
        """
        seed_all(runner.seed, runner.epoch, get_rank(), batch_idx + 1)
