"""The seeds of a data loader's processes."""

from typing import Optional

from mmlgd.registry import FUNCTIONS


@FUNCTIONS.register_module()
def keep_torch_seeds(worker_id: int, _scope_: Optional[str] = None) -> None:
    """Leave Python's, numpy's and torch's generators as torch has just seeded them in this process.

    torch draws these seeds anew in each epoch, and another one for each process. mmengine's own ``worker_init_fn``
    then replaces them by one that depends on the process alone, and the augmentation is drawn alike in every epoch.

    Args:
        worker_id (int): Not used.
        _scope_ (str, optional): Not used; mmengine adds it to typed dicts of inherited configs. Defaults to None.

    Examples:
        >>> train_dataloader = dict(worker_init_fn=dict(type='mmlgd.keep_torch_seeds'), persistent_workers=False)
    """
