"""The versions of the OpenMMLab packages that mmlgd works with."""

from importlib import import_module
from importlib.util import find_spec

from packaging.version import Version

# Lower bound (included) and upper bound (excluded). One range for both stacks: upstream is tested at mmengine
# 0.10.7, mmcv 2.1.0, mmpretrain 1.2.0; the onedl fork, which keeps the import names, at 0.10.12, 2.3.6, 1.3.6.
# mmdet and mmsegmentation are optional and check themselves when they are imported.
RANGES = {
    'mmengine': ('0.10.7', '0.11'),
    'mmcv': ('2.1.0', '2.4'),
    'mmpretrain': ('1.2.0', '1.4'),
}

_FIX = (
    'Install a stack that mmlgd is tested with: `pip install "mmlgd[openmmlab]"` (upstream OpenMMLab) or '
    '`pip install "mmlgd[onedl]"` (the maintained fork), into an environment that holds only one of the two.'
)


def check_stack() -> None:
    """Refuse a stack that mmlgd is not tested with, and say what to install instead.

    Raises:
        ImportError: A package is missing or outside its range in :data:`RANGES`; the message names the package,
            the version found, the range and the command that fixes it.

    Examples:
        >>> from mmlgd.stack import check_stack
        >>> check_stack()
    """
    for module, (lowest, limit) in RANGES.items():
        wanted = f'mmlgd needs {module}>={lowest},<{limit}'
        if find_spec(module) is None:
            raise ImportError(f'{wanted}, which is not installed. {_FIX}')
        try:
            found = import_module(module).__version__
        except AssertionError as error:  # OpenMMLab packages assert the versions of those below them
            raise ImportError(
                f'{wanted}, but the installed one does not accept the other packages: {error}. {_FIX}'
            ) from error
        if not Version(lowest) <= Version(found) < Version(limit):
            raise ImportError(f'{wanted}, but {module} {found} is installed. {_FIX}')
