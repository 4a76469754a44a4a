"""Find the size of images after transforms, from the settings of the transforms."""

import re
from collections.abc import Iterator
from typing import Any, Optional

from mmlgd.checkpoints.files import CheckpointError

LARGEST = 4096  # pixels of a side: the limit for a size from a checkpoint, which may be untrusted
_WIDTH_FIRST = ('CenterCrop', 'Pad', 'Resize')  # mmcv's; torchvision and mmpretrain have the height first


def size_after(pipeline: list) -> tuple[Optional[tuple[int, int]], bool]:
    """Follow the size of images through transforms.

    Args:
        pipeline (List[dict]): Settings of transforms, of any OpenMMLab library.

    Returns:
        Tuple[Tuple[int, int] | None, bool]: Height and width that the last transform with a size sets, None if there is
        no single size; and whether all images then have this size.

    Raises:
        CheckpointError: A size is outside 1 to :data:`LARGEST` pixels.

    Examples:
        >>> size_after([dict(type='mmpretrain.ResizeEdge', scale=256), dict(type='CenterCrop', crop_size=224)])
        ((224, 224), True)
        >>> size_after([dict(type='mmpretrain.ResizeEdge', scale=256)])
        ((256, 256), False)
    """
    size, is_fixed = None, False
    for step in _steps(pipeline):
        kind = kind_of(step)
        if not kind.endswith(('Resize', 'ResizeEdge', 'Pad')) and 'Crop' not in kind:
            continue
        for key in ('size', 'crop_size', 'scale', 'height'):
            if given := pixels(_value(step, key), kind, key):
                is_torch = 'torchvision' in str(step['type'])
                size = given[::-1] if kind in _WIDTH_FIRST and not is_torch else given
                # These set only one side; the other follows from the image.
                is_edge = kind == 'ResizeEdge' or bool(step.get('keep_ratio')) or 'ratio_range' in step
                is_edge |= is_torch and kind == 'Resize' and isinstance(step[key], int)
                is_fixed |= not is_edge
                break
        else:  # a factor, one of several sizes, a square around the image: no single size
            if not _keeps(step, size if is_fixed else None):
                size, is_fixed = None, False
    return size, is_fixed


def is_step(step: Any) -> bool:
    """Check whether these are a transform's settings; a config in pure Python has a class as the type."""
    return isinstance(step, dict) and isinstance(step.get('type'), (str, type))


def is_loading(step: dict) -> bool:
    """Check whether a transform only reads a file."""
    return kind_of(step).startswith('Load')


def kind_of(step: dict) -> str:
    """Return the name of a transform's class, without its scope, module or ``torchvision/``."""
    return step['type'].__name__ if isinstance(step['type'], type) else re.split('[./]', step['type'])[-1]


def pixels(value: Any, kind: str, key: str) -> Optional[tuple[int, int]]:
    """Read one or two whole numbers as a size; other values (a share of the area, a factor) are not a size.

    Args:
        value (Any): The setting.
        kind (str): The transform that has it, for the error.
        key (str): Its name, for the error.

    Returns:
        Tuple[int, int] | None: The two sides, in the order of the setting; None if it is not a size.

    Raises:
        CheckpointError: It is outside 1 to :data:`LARGEST`.
    """
    sides = (value, value) if isinstance(value, int) else value
    is_size = isinstance(sides, (list, tuple)) and len(sides) == 2 and all(type(side) is int for side in sides)
    if not is_size:
        return None
    if not all(0 < side <= LARGEST for side in sides):
        raise CheckpointError(
            f'The config asks for images of {key}={value} ({kind}), expected 1 to {LARGEST} pixels a side.'
        )
    return tuple(sides)


def _value(step: dict, key: str) -> Any:
    """Return a transform's setting; albumentations has separate keys for height and width."""
    return (step.get('height'), step.get('width')) if key == 'height' else step.get(key)


def _keeps(step: dict, size: Optional[tuple[int, int]]) -> bool:
    """Check whether a padding to multiples keeps a size, because the size is such a multiple already."""
    multiple = step.get('size_divisor')
    is_multiple = size is not None and type(multiple) is int and multiple > 0
    return is_multiple and not size[0] % multiple and not size[1] % multiple


def _steps(pipeline: list) -> Iterator[dict]:
    """Walk through transforms and the transforms inside them (``RandomApply``)."""
    for step in pipeline:
        if isinstance(step, (list, tuple)):
            yield from _steps(step)
        elif is_step(step):
            yield step
            inner = step.get('transforms')
            yield from _steps(inner if isinstance(inner, (list, tuple)) else [])
