"""Shares of the labels: the changes that make any downstream config train on one, in as many steps as on all."""

import re
from collections.abc import Sequence
from typing import Any, Union

from mmengine.config import Config

from mmlgd.errors import ConfigError, brief
from mmlgd.utils.configs import kind_of
from mmlgd.utils.validation import listed, require

_EPOCHS, _STEPS = ('EpochBasedTrainLoop', 'EpochTrainLoop'), ('IterBasedTrainLoop', 'IterTrainLoop')
_SAMPLERS = ('DefaultSampler', 'InfiniteSampler', 'LabelSampler')
# Of these samplers, what LabelSampler takes, too; a base of another library leaves its scope in the dict.
_SETTINGS = {'type', '_scope_', 'shuffle', 'seed', 'percent', 'by_epoch'}


def read_shares(fractions: Union[str, Sequence[str]]) -> list[float]:
    """Read shares of the labels.

    Args:
        fractions (Sequence[str]): Texts such as ``10%``.

    Returns:
        List[float]: Per cent, from small to large.

    Raises:
        ConfigError: One is no share in (0, 100] per cent, or stands there twice.

    Examples:
        >>> read_shares(['100%', '2.5%'])
        [2.5, 100.0]
    """
    shares = []
    for text in listed(fractions):
        found = re.fullmatch(r'([0-9]{1,3}(?:\.[0-9]+)?)%', str(text))
        if not found or not 0 < float(found[1]) <= 100:
            raise ConfigError(f'--fractions takes shares of the labels such as 10%, up to 100%; got {brief(text)!r}.')
        shares.append(float(found[1]))
    require(bool(shares), '--fractions is empty. Give at least one share of the labels, such as 100%.')
    require(len({*map(share_text, shares)}) == len(shares), '--fractions has a share twice.')  # as folders name it
    return sorted(shares)


def share_text(percent: float) -> str:
    """Write a share for a reader.

    Args:
        percent (float): The share.

    Returns:
        str: With its sign.

    Examples:
        >>> share_text(2.5), share_text(100.0)
        ('2.5 %', '100 %')
    """
    return f'{percent:g} %'


def share_options(cfg: Config, percent: float) -> dict[str, Any]:
    """Find the changes that make a config train on a share of its images, in equally many steps.

    The sampler becomes :class:`~mmlgd.datasets.LabelSampler`; batch size, loop and schedule stay.

    Args:
        cfg (Config): A downstream config with its variables filled in.
        percent (float): The share in (0, 100].

    Returns:
        Dict[str, Any]: Options, ``key.subkey`` to value; empty for 100 per cent, which is the config as it is.

    Raises:
        ConfigError: The config draws its images in a way that gives no share, or it already trains on one.

    Examples:
        >>> loader = dict(sampler=dict(type='InfiniteSampler', shuffle=True))
        >>> cfg = Config(dict(train_dataloader=loader, train_cfg=dict(type='IterBasedTrainLoop', max_iters=9)))
        >>> share_options(cfg, 10)
        {'train_dataloader.sampler.type': 'mmlgd.LabelSampler', 'train_dataloader.sampler.percent': 10}
    """
    loader = cfg.get('train_dataloader') or {}
    sampler, batches = loader.get('sampler') or {}, loader.get('batch_sampler') or {}
    require(
        sampler.get('percent', 100) == 100,
        f'The config trains on {sampler.get("percent")} per cent of the labels already. Leave that to --fractions: set '
        f'label_percent, or train_dataloader.sampler.percent, to 100.',
    )
    if percent == 100:
        return {}
    drawn = kind_of(batches) if batches else kind_of(sampler)
    if kind_of(sampler) not in _SAMPLERS or (batches and drawn != 'AspectRatioBatchSampler'):
        raise ConfigError(
            f'The config draws its training images by {drawn}, of which no share can be taken. Set '
            f'train_dataloader.sampler to a {" or ".join(_SAMPLERS[:2])}, and no batch_sampler but '
            f'AspectRatioBatchSampler, in a config on top of it; or give --fractions 100%.'
        )
    if unknown := sorted({*sampler} - _SETTINGS):
        raise ConfigError(
            f'train_dataloader.sampler sets {", ".join(unknown)}, which LabelSampler, that draws the share, does not '
            f'have. Leave it out in a config on top of it; or give --fractions 100%.'
        )
    place = 'train_dataloader.sampler'
    options = {f'{place}.type': 'mmlgd.LabelSampler', f'{place}.percent': percent}
    return {**options, f'{place}.by_epoch': True} if _is_by_epoch(cfg) else options


def _is_by_epoch(cfg: Config) -> bool:
    """Tell a loop over epochs, whose sampler has to end, from one over iterations."""
    loop = cfg.get('train_cfg') or {}
    kind = kind_of(loop) if 'type' in loop else 'EpochBasedTrainLoop' if loop.get('by_epoch') else 'IterBasedTrainLoop'
    require(
        kind in _EPOCHS + _STEPS,
        f'The loop of the config is {kind}; only {_EPOCHS[0]} and {_STEPS[0]} are known to make equally many steps '
        f'with fewer labels. Use one of them, or give --fractions 100%.',
    )
    return kind in _EPOCHS
