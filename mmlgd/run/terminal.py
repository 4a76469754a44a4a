"""What a run says to the terminal: what it does, and not what only its log file is for."""

import logging
from typing import Any

from mmengine.runner import Runner, runner
from torch.utils.data import DataLoader

from mmlgd.datasets.data_errors import data_errors

_LEFT_OUT = (
    # mmengine's own use of an interface that it calls old, at the start of each run.
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    'The prefix is not set in metric class ',  # MultiTasksMetric's tasks have names; mmseg's IoUMetric is alone
    'paramwise_options -- ',  # a line for each parameter
    'Similarities to class names are ',  # what `looks` does to a temperature
    'Exp name: ',  # after each epoch
    'Checkpoints will be saved to',  # in what this run is
)


class QuietRunner(Runner):
    """mmengine's runner, whose descriptions of the system, the config and the hooks go into the log file alone.

    They are some three hundred lines. With ``log_level='DEBUG'`` in the config they go to the terminal, too. Data that
    a library cannot read are named.
    """

    def build_logger(self, *args, **kwargs) -> logging.Logger:
        """Build mmengine's logger, with a terminal that leaves these descriptions out.

        Returns:
            MMLogger: The logger.
        """
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            # Not isinstance: a FileHandler is a StreamHandler, too.
            if type(handler) is logging.StreamHandler and handler.level > logging.DEBUG:
                handler.addFilter(_is_for_terminal)
        return logger

    def build_dataloader(self, dataloader: Any, *args, **kwargs) -> DataLoader:
        """Build a data loader; an error of any library about its data becomes one that names them.

        Args:
            dataloader (dict | DataLoader): Its settings.
            *args: Of mmengine's method.
            **kwargs: Of mmengine's method.

        Returns:
            DataLoader: The data loader.

        Raises:
            MissingFileError: A file or folder is not there.
            MissingPackageError: A package is not installed.
            ConfigError: The data set cannot be built for any other reason.
        """
        places = ('train_dataloader', 'val_dataloader', 'test_dataloader')
        place = next((place for place in places if getattr(self, f'_{place}', None) is dataloader), 'A data loader')
        with data_errors(place, dataloader.get('dataset', dataloader) if isinstance(dataloader, dict) else dataloader):
            return super().build_dataloader(dataloader, *args, **kwargs)


def _is_for_terminal(record: logging.LogRecord) -> bool:
    parts = ('__init__', '_log_env', 'wrap_model')
    describes = record.levelno == logging.INFO and record.pathname == runner.__file__ and record.funcName in parts
    return not describes and not str(record.msg).startswith(_LEFT_OUT)
