"""The seeds of a data loader's processes."""

from typing import Optional

from mmlgd.registry import FUNCTIONS


@FUNCTIONS.register_module()
def keep_torch_seeds(worker_id: int, _scope_: Optional[str] = None) -> None:
    """Keep the seeds that torch has just given to Python's, numpy's and torch's generators in this process.

    torch draws new seeds for each epoch and each process. mmengine's own ``worker_init_fn`` then replaces them by one
    that depends only on the process, so that every epoch draws the same augmentation.

    Args:
        worker_id (int): Not used.
        _scope_ (str, optional): Not used; mmengine adds it to typed dicts of inherited configs. Defaults to None.

    Examples:
        >>> train_dataloader = dict(worker_init_fn=dict(type='mmlgd.keep_torch_seeds'), persistent_workers=False)
    """
