"""One image of a run's curves, when it has ended."""

from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmlgd.errors import MMLGDError
from mmlgd.registry import HOOKS


@HOOKS.register_module()
class CurvesHook(Hook):
    """Draw losses, accuracies, agreement and the state of the bank into ``curves.png`` in the work dir.

    For epoch-based runs, as pre-training's are. The figures are read from ``vis_data/scalars.json``, which mmengine's
    ``LocalVisBackend`` keeps; of a run that was resumed, all of them. Without that backend the log says that nothing is
    drawn.

    Examples:
        >>> default_hooks = dict(curves=dict(type='mmlgd.CurvesHook'))
    """

    priority = 'VERY_LOW'  # after everything that logs

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Draw the curves.

        Args:
            runner (Runner): The runner, its training done.
        """
        from .curves import draw_curves, read_scalars  # the drawing is loaded when there is something

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
        except (MMLGDError, OSError) as error:  # the training is done, whatever becomes of its image
            runner.logger.warning(f'CurvesHook: no curves are drawn. {error}')
        else:
            runner.logger.info(f'The curves of this run: {file}')
