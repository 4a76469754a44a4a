"""Which share of the images is really drawn, where a class or a small data set cannot give the one asked for."""

from collections.abc import Sequence

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmlgd.datasets import LabelSampler
from mmlgd.errors import ConfigError, sentence

from .shares import share_text

_CLOSE = 0.1  # of the share: a difference as small as this says nothing else about labels


def drawn_otherwise(cfg: Config, shares: Sequence[float], seed: int) -> list[str]:
    """Say where the images that are drawn are another share than the one that is asked for.

    Args:
        cfg (Config): A downstream config with its variables filled in.
        shares (Sequence[float]): Shares of its training images, in per cent.
        seed (int): Of a run: all draw as many.

    Returns:
        List[str]: A sentence for each such share.

    Raises:
        ConfigError: The data set is one of which no share can be taken, or its files are missing.

    Examples:
        >>> images = dict(type='mmengine.BaseDataset', lazy_init=True)
        >>> drawn_otherwise(Config(dict(train_dataloader=dict(dataset=images))), [100.0], 0)
        []
    """
    settings, told = (cfg.get('train_dataloader') or {}).get('dataset'), []
    fewer = [share for share in shares if share < 100]
    if not settings or not fewer:
        return told
    try:
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
            dataset = DATASETS.build(settings)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    except OSError as error:
        raise ConfigError(f'The training images of the config cannot be listed: {sentence(error)}') from error
    for share in fewer:
        sampler = LabelSampler(dataset, share, seed=seed)
        drawn, images = len(sampler.chosen), sampler.images
        if abs(100 * drawn / images - share) > _CLOSE * share:
            real = share_text(float(f'{100 * drawn / images:.3g}'))
            told.append(
                f'WARNING: {share_text(share)} of the labels are here {drawn} of {images} images, {real}: each class '
                f'gives at least one image, and no image is divided.'
            )
    return told
