"""The data sets of a config, built as a run builds them."""

from collections.abc import Sized

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmlgd.datasets.data_errors import data_errors
from mmlgd.errors import ConfigError


def dataset_of(cfg: Config, loader: str) -> Sized:
    """Build the data set of a loader, and list its images.

    Args:
        cfg (Config): With its variables filled in.
        loader (str): Such as ``'train_dataloader'``.

    Returns:
        Sized: The data set.

    Raises:
        ConfigError: There is none, or it cannot be built or list its images.
        MissingFileError: A file or folder is not there.
        MissingPackageError: A package is not installed.

    Examples:
        >>> dataset_of(Config(dict(val_dataloader=None)), 'val_dataloader')
        Traceback (most recent call last):
        mmlgd.errors.ConfigError: The config has no val_dataloader.dataset. Give a config with one.
    """
    if not (settings := (cfg.get(loader) or {}).get('dataset')):
        raise ConfigError(f'The config has no {loader}.dataset. Give a config with one.')
    scope = cfg.get('default_scope') or 'mmengine'
    with data_errors(loader, settings), DefaultScope.overwrite_default_scope(scope):
        dataset = DATASETS.build(settings)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    return dataset
