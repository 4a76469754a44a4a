"""A progress bar for terminals."""

import atexit
import logging
import sys
from typing import Optional, Union

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mmlgd.errors import ConfigError
from mmlgd.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show progress, ETA, loss and the time spent waiting for images, below the log lines in a terminal.

    Time, ETA and waiting time are mmengine's own (``IterTimerHook``). If the output is not a terminal (a file, a pipe,
    a batch system), nothing is shown: the log has the same numbers every ``LoggerHook.interval`` steps.

    Args:
        interval (int): Steps between two updates, > 0. Each update reads the loss from the device and waits for it.
            Defaults to 10.
        terminal (bool, optional): Whether to show the bar. Defaults to None: only if the standard output is a terminal.

    Examples:
        >>> default_hooks = dict(progress=dict(type='mmlgd.ProgressHook'))
    """

    priority = 'LOW'  # after mmengine's timer

    def __init__(self, interval: int = 10, terminal: Optional[bool] = None):
        if interval < 1:
            raise ConfigError(f'Expected ProgressHook.interval to be at least 1 step, got {interval}.')
        self.interval = interval
        self.terminal = terminal
        self._progress: Optional[Progress] = None

    def before_train(self, runner: Runner) -> None:
        """Start the bar.

        Args:
            runner (Runner): The runner.
        """
        watched = sys.stdout.isatty() if self.terminal is None else self.terminal
        if not watched or not is_main_process():
            return
        self._progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('{task.fields[figures]}'),
            TimeElapsedColumn(),
            console=Console(file=sys.stdout, force_terminal=True),
            transient=True,
        )
        self._task = self._progress.add_task('training', total=runner.max_iters, completed=runner.iter, figures='')
        self._progress.start()
        atexit.register(self._progress.stop)  # restores the cursor if the run ends in an error
        _send_log_to(runner.logger, sys.stdout)  # rich has replaced it, which keeps log lines above the bar

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Union[dict, tuple, list, None] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Update the bar.

        Args:
            runner (Runner): The runner.
            batch_idx (int): The step of the epoch.
            data_batch (dict | tuple | list, optional): Not used.
            outputs (dict, optional): Losses of the step.
        """
        if self._progress is None:
            return
        done = runner.iter + 1
        self._progress.update(self._task, completed=done)
        if done % self.interval == 0 or done == runner.max_iters or not self._progress.tasks[0].fields['figures']:
            figures = [f'eta {_clock(runner.message_hub.get_info("eta"))}', f'waiting {100 * data_wait(runner):.0f} %']
            if outputs and 'loss' in outputs:
                figures.insert(0, f'loss {outputs["loss"].item():.3f}')
            self._progress.update(
                self._task, description=f'epoch {runner.epoch + 1}/{runner.max_epochs}', figures='  '.join(figures)
            )

    def after_train(self, runner: Runner) -> None:
        """Remove the bar.

        Args:
            runner (Runner): The runner.
        """
        self._stop(runner.logger)

    def _stop(self, logger: logging.Logger) -> None:
        if self._progress is not None:
            self._progress.stop()
            atexit.unregister(self._progress.stop)
            self._progress = None
            _send_log_to(logger, sys.stdout)


def data_wait(runner: Runner, steps: int = 200) -> float:
    """Compute the share of the last steps' time that was spent waiting for images.

    Args:
        runner (Runner): In or after training, with mmengine's ``IterTimerHook``.
        steps (int): Number of the last steps. Defaults to 200, so that the pauses between epochs matter little.

    Returns:
        float: In 0..1.
    """
    wait, time = (runner.message_hub.get_scalar(f'train/{key}').mean(steps) for key in ('data_time', 'time'))
    return float(min(1.0, wait / max(time, 1e-9)))


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{seconds:02d}'


def _send_log_to(logger: logging.Logger, stream) -> None:
    """Redirect the console's log handlers to another stream: they keep the stream they were created with."""
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler:  # not isinstance: a FileHandler is a StreamHandler too
            handler.setStream(stream)
