"""Draws the curves of a run into one image at its end."""

from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmlgd.errors import MMLGDError, sentence
from mmlgd.registry import HOOKS


@HOOKS.register_module()
class CurvesHook(Hook):
    """Draw losses, accuracies, agreement and the state of the bank into ``curves.png`` in the work dir.

    This is for epoch-based runs such as pre-training. The values come from ``vis_data/scalars.json``, which mmengine's
    ``LocalVisBackend`` writes; a resumed run has several, and all are read. Without this backend nothing is drawn, and
    the log says so.

    Examples:
        >>> default_hooks = dict(curves=dict(type='mmlgd.CurvesHook'))
    """

    priority = 'VERY_LOW'  # after all hooks that log

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Draw the curves.

        Args:
            runner (Runner): The runner, after training.
        """
        from .curves import draw_curves, read_scalars  # load the drawing code only when needed

        curves = read_scalars(runner.work_dir, len(runner.train_dataloader))
        if not curves:
            runner.logger.warning(
                f'CurvesHook: there is no vis_data/scalars.json under {runner.work_dir}, so no curves are drawn. Add '
                f"dict(type='LocalVisBackend') to visualizer.vis_backends."
            )
            return
        file = Path(runner.work_dir) / 'curves.png'
        try:
            draw_curves(file, curves, title=runner.experiment_name)
        except (MMLGDError, OSError) as error:  # the training has succeeded, even if drawing fails
            runner.logger.warning(f'CurvesHook: no curves are drawn. {sentence(error)}')
        else:
            runner.logger.info(f'The curves of this run: {file}')
