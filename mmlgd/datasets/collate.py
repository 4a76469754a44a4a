"""The collate function of mmlgd's configs."""

from typing import Any, Optional

from mmengine.dataset import default_collate as stack_batch
from torch import Tensor

from mmlgd.errors import ConfigError
from mmlgd.registry import FUNCTIONS


@FUNCTIONS.register_module()
def default_collate(data_batch: list, _scope_: Optional[str] = None) -> Any:
    """Stack samples into a batch, as mmengine's function of the same name does.

    mmengine's own function takes no ``_scope_``. But mmengine adds ``_scope_`` to every dict with a type in a config
    that is inherited by name (``_base_ = 'mmlgd::...'``), and passes it on.

    Args:
        data_batch (list): Samples from a dataset.
        _scope_ (str, optional): Not used. Defaults to None.

    Returns:
        Any: The same structure with tensors stacked along a new first axis.

    Raises:
        ConfigError: The images have different sizes, or have not been read.

    Examples:
        >>> import torch
        >>> default_collate([dict(inputs=torch.zeros(3)), dict(inputs=torch.ones(3))])['inputs'].shape
        torch.Size([2, 3])
    """
    if isinstance(data_batch[0], dict):
        if 'img_path' in data_batch[0] and 'inputs' not in data_batch[0]:
            raise ConfigError(
                'The data set has no pipeline that reads its images. For an evaluation set of LGD pre-training, '
                'mmlgd train gives it one; elsewhere set dataset.pipeline.'
            )
        shapes = {tuple(sample['inputs'].shape) for sample in data_batch if isinstance(sample.get('inputs'), Tensor)}
        if len(shapes) > 1:
            first, second, *_ = sorted(shapes)
            raise ConfigError(
                f'The images of a batch have different sizes, for example {first} and {second}. Let their pipeline '
                f"bring them to one size: dict(type='mmpretrain.ResizeEdge', scale=256) and dict(type='CenterCrop', "
                f'crop_size=224), or --size in an evaluation.'
            )
    return stack_batch(data_batch)
