"""The collate function of mmlgd's configs."""

from typing import Any, Optional

from mmengine.dataset import default_collate as stack_batch

from mmlgd.registry import FUNCTIONS


@FUNCTIONS.register_module()
def default_collate(data_batch: list, _scope_: Optional[str] = None) -> Any:
    """Stack samples into a batch, as mmengine's function of the same name does.

    mmengine's own takes no ``_scope_``, which mmengine itself adds to every typed dict of a config that is inherited
    by name (``_base_ = 'mmlgd::...'``) and then passes on.

    Args:
        data_batch (list): Samples from a dataset.
        _scope_ (str, optional): Not used. Defaults to None.

    Returns:
        Any: The same structure with tensors stacked along a new first axis.

    Examples:
        >>> import torch
        >>> default_collate([dict(inputs=torch.zeros(3)), dict(inputs=torch.ones(3))])['inputs'].shape
        torch.Size([2, 3])
    """
    return stack_batch(data_batch)
