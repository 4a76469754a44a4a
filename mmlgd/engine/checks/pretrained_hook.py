"""A check that pre-trained weights fit their modules."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmlgd.checkpoints.fitting import check_pretrained
from mmlgd.registry import HOOKS
from mmlgd.utils.models import plain_model


@HOOKS.register_module()
class PretrainedCheckHook(Hook):
    """Refuse a checkpoint with a missing or unexpected key or a wrong shape, before weights are initialised.

    mmengine loads what fits and only logs the rest: with a wrong prefix, a detector would train from random weights.

    Examples:
        >>> default_hooks = dict(pretrained=dict(type='mmlgd.PretrainedCheckHook'))
    """

    def before_run(self, runner: Runner) -> None:
        """Compare every ``init_cfg=dict(type='Pretrained', ...)`` in the model with its file.

        Args:
            runner (Runner): The runner. A runner that only evaluates initialises no weights and passes.

        Raises:
            FileNotFoundError: There is no such file.
            ConnectionError: The weights cannot be downloaded.
            CheckpointError: The file is truncated or does not fit; the message says where and how to fix it.
            ValueError: ``checkpoint=None``.
        """
        if not hasattr(runner._train_loop, 'dataloader'):
            return
        check_pretrained(plain_model(runner))
