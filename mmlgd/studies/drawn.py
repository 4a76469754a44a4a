"""Which share of the images is really drawn, where a class or a small data set cannot give the one asked for."""

from collections.abc import Sequence

from mmengine.config import Config

from mmlgd.datasets import LabelSampler

from .data_sets import dataset_of
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
        ConfigError: The data set is one of which no share can be taken, or its images cannot be listed.

    Examples:
        >>> images = dict(type='mmengine.BaseDataset', lazy_init=True)
        >>> drawn_otherwise(Config(dict(train_dataloader=dict(dataset=images))), [100.0], 0)
        []
    """
    told, fewer = [], [share for share in shares if share < 100]
    if not fewer or not (cfg.get('train_dataloader') or {}).get('dataset'):
        return told
    dataset = dataset_of(cfg, 'train_dataloader')
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
