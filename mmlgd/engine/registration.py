"""What mmengine must be told of mmlgd."""

from mmengine.config.utils import MODULE2PACKAGE

from .checkpoint_loaders import register_checkpoint_loaders


def register_with_mmengine() -> None:
    """Make mmengine know the package ``mmlgd``, and read checkpoints as data.

    Two registrations, both idempotent:

    - mmengine resolves ``'mmlgd::lgd/....py'`` (in ``_base_`` and :func:`mmengine.hub.get_config`) only for
      packages in its table of projects;
    - mmengine's loaders of checkpoints give way to ours, which execute nothing on either stack and compare downloads
      with their hash.

    Examples:
        >>> from mmengine.config.utils import MODULE2PACKAGE
        >>> import mmlgd
        >>> MODULE2PACKAGE['mmlgd']
        'mmlgd'
    """
    MODULE2PACKAGE['mmlgd'] = 'mmlgd'
    register_checkpoint_loaders()
