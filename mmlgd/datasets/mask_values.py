"""What the values of masks mean: the class names, and no label."""

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, Optional, Union

import numpy as np
from mmengine import fileio
from PIL import Image, UnidentifiedImageError

from mmlgd.errors import MMLGDError, first_few, shown
from mmlgd.utils.spread import spread
from mmlgd.utils.validation import require

from .loaded_size import loaded_size

_MOST = 255  # mmsegmentation reads masks as bytes
_BYTES = range(_MOST + 1)
_READ = 200  # masks
_LOSSY = ('JPEG', 'MPO')


class MasksError(MMLGDError, ValueError):
    """Masks that cannot be read, or that do not fit their images or names."""


def read_values(data: Path, pairs: Sequence[tuple[PurePath, PurePath]]) -> tuple[Counter[int], tuple[int, int]]:
    """Count the pixels of each value in masks: in all of them, or in 200 evenly spread ones if there are more.

    Args:
        data (Path): The folder of the data.
        pairs (Sequence): The files of images and their masks, relative to it.

    Returns:
        Tuple[Counter, Tuple[int, int]]: The number of pixels of each value; median width and height of the images.

    Raises:
        MasksError: A file cannot be read; or a mask cannot be used, see :func:`read_mask`, or has another size than its
            image.
    """
    pixels: Counter[int] = Counter()
    sizes = []
    for image, file in spread(pairs, _READ):
        try:
            with Image.open(data / image) as opened:
                sizes.append(loaded_size(opened))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise MasksError(f'The image {shown(data / image)} cannot be read: {error}. Repair it.') from error
        mask = read_mask(data / file)
        require_size(data / file, mask.shape, sizes[-1])
        values, counts = np.unique(mask, return_counts=True)
        pixels.update(dict(zip(values.tolist(), counts.tolist())))
    width, height = np.median(np.array(sizes), axis=0)
    return pixels, (int(width), int(height))


def read_mask(mask: Union[str, Path], backend_args: Optional[dict] = None) -> np.ndarray:
    """Read a mask; refuse one of which mmsegmentation would make other classes, without a word.

    Args:
        mask (str | Path): Its file.
        backend_args (dict, optional): Where it lies, as for mmengine's ``fileio``. Defaults to None: by its path.

    Returns:
        np.ndarray: (H, W) uint8, its values.

    Raises:
        MasksError: It cannot be read, is a JPEG file or in colour, or has values that are no bytes.
    """
    try:
        with Image.open(io.BytesIO(fileio.get(str(mask), backend_args=backend_args))) as opened:
            values, kind = np.asarray(opened), opened.format
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        told = 'it is no image' if isinstance(error, UnidentifiedImageError) else error
        raise MasksError(f'The mask {shown(mask)} cannot be read: {told}. Repair it.') from error
    if kind in _LOSSY:
        raise MasksError(
            f'The mask {shown(mask)} is a {kind} file, which changes values near edges: these would be other classes. '
            f'Save the masks anew as PNG from where they come; a copy of this file has the same changes.'
        )
    if values.ndim != 2:
        raise MasksError(
            f'The mask {shown(mask)} is a colour image of shape {values.shape}. Masks hold one class index per pixel: '
            f'save it with one channel or with a palette.'
        )
    if values.dtype != np.uint8 and (lost := [value for value in np.unique(values).tolist() if value not in _BYTES]):
        raise MasksError(
            f'The mask {shown(mask)} has the values {first_few(lost)}, and mmsegmentation reads masks as bytes: '
            f'expected 0 to {_MOST}. Save it with 8 bits, with a class index or {_MOST} for no label at each pixel.'
        )
    return values.astype(np.uint8)


def require_size(mask: Union[str, Path], shape: tuple[int, ...], size: tuple[int, int]) -> None:
    """Refuse a mask of another size than its image.

    Args:
        mask (str | Path): Its file.
        shape (Tuple[int, ...]): Its height and width in pixels.
        size (Tuple[int, int]): Width and height of its image.

    Raises:
        MasksError: They differ.
    """
    if tuple(shape) != size[::-1]:
        raise MasksError(
            f'The mask {shown(mask)} has {shape[1]} x {shape[0]} px, and its image {size[0]} x {size[1]} px. A mask '
            f'has the class of each pixel of its image: bring it to that size, without interpolation.'
        )


def require_ignorable(ignore_index: Any, num_classes: int, data: Union[str, Path]) -> None:
    """Refuse a value for pixels without a label that is a class, or no byte.

    Args:
        ignore_index (int): The value.
        num_classes (int): Number of classes.
        data (str | Path): Folder of the data, for the error.

    Raises:
        ConfigError: It is not from the number of classes to 255.
    """
    is_number = isinstance(ignore_index, int) and not isinstance(ignore_index, bool)
    require(
        is_number and num_classes <= ignore_index <= _MOST,
        f'Pixels of value {ignore_index!r} are ignored in {shown(data)}, but the values 0 to {num_classes - 1} are its '
        f'classes, and a mask has bytes. Set ignore_index to a value from {num_classes} to {_MOST}.',
    )


def label_of(value: int, reduce_zero_label: bool) -> int:
    """Follow a value of a mask through mmsegmentation's ``reduce_zero_label``.

    Args:
        value (int): From 0 to 255.
        reduce_zero_label (bool): Whether 0 is no label and 1 the first class.

    Returns:
        int: Its class, or 255.

    Examples:
        >>> [label_of(value, True) for value in (0, 1, 255)]
        [255, 0, 255]
    """
    if not reduce_zero_label:
        return value
    return _MOST if value in (0, _MOST) else value - 1


def meaning_of(
    data: Path,
    pixels: Counter[int],
    names: list[str],
    ignore_index: Optional[int] = None,
    reduce_zero_label: bool = False,
) -> tuple[int, list[str]]:
    """Find out which value of masks is no label, and tell how many pixels each class name has.

    If neither option is given, one value beyond the names counts as no label, unless a name would then have no pixel.

    Args:
        data (Path): The folder of the data, for messages.
        pixels (Counter): The number of pixels of each value.
        names (List[str]): Class names, in the order of the values.
        ignore_index (int, optional): The value of pixels without a label. Defaults to None: it is found out.
        reduce_zero_label (bool): Whether 0 is no label and 1 the first name. Defaults to False.

    Returns:
        Tuple[int, List[str]]: The value of pixels without a label, 255 if there are none; sentences to tell.

    Raises:
        MasksError: The values do not fit the names, or may mean several things.
        ConfigError: An option is out of its range.

    Examples:
        >>> from collections import Counter
        >>> meaning_of(Path('data'), Counter({0: 30, 1: 10}), ['road', 'sky'])
        (255, ['Pixels by name, in up to 200 masks: road 75.0 %, sky 25.0 %.'])
    """
    count, is_given = len(names), ignore_index is not None or reduce_zero_label
    _check_options(data, names, ignore_index, reduce_zero_label)
    beyond = [value for value in sorted(pixels) if label_of(value, reduce_zero_label) >= count]
    if ignore_index is None:
        ignore_index = beyond[0] if len(beyond) == 1 and not is_given else _MOST
    unknown = [value for value in beyond if label_of(value, reduce_zero_label) != ignore_index]
    # Values 0 to K mean two things: K is no label, or 0 is none and 1 the first of K names.
    is_open = not reduce_zero_label and count in pixels and {*pixels} <= {*range(count + 1), _MOST}
    from_1 = (
        f'If value 0 is no label instead, and value 1 is {names[0]}: --cfg-options reduce_zero_label=True.'
        if is_open
        else ''
    )
    if unknown:
        raise MasksError(
            f'The masks of {shown(data)} have the values {first_few(unknown)} beyond the {count} class names. Value k '
            f'is name {"k - 1, from 1" if reduce_zero_label else "k, from 0"}; one value beyond them may stand for no '
            f'label. {from_1 or "Give a name for every value."}'
        )
    labels: Counter[int] = Counter()
    for value, number in pixels.items():
        labels[label_of(value, reduce_zero_label)] += number
    missing = [k for k in range(count) if not labels[k]]
    if len(missing) == count:
        raise MasksError(
            f'The masks of {shown(data)} have no pixel of a class name: their values are {first_few(sorted(pixels))}. '
            f'Write the index of its name, from {int(reduce_zero_label)}, into each pixel.'
        )
    notes = [_shares(names, labels, ignore_index)]
    if beyond and not is_given:
        if missing:
            raise MasksError(_question(data, names, missing, beyond[0], pixels, from_1))
        told = f'Value {ignore_index} of the masks is beyond the names and counts as no label (ignore_index).'
        notes.append(f'{told} {from_1}'.rstrip())
    elif missing:
        notes.append(f'No pixel of the masks that were read is {first_few(names[k] for k in missing)}.')
    return ignore_index, notes


def _check_options(data: Path, names: list[str], ignore_index: Optional[int], reduce_zero_label: bool) -> None:
    if len(names) < 2:
        raise MasksError(
            f'The masks of {shown(data)} have {len(names)} class names, expected 2 or more: of one alone, each pixel '
            f'is right whatever is learnt. Give a name to the other pixels, too, such as background.'
        )
    if len(names) > _MOST:
        raise MasksError(
            f'There are {len(names)} class names for the masks of {shown(data)}, expected {_MOST} at most: '
            f'mmsegmentation reads masks as bytes, and one value stands for no label. Join classes.'
        )
    if ignore_index is not None:
        require_ignorable(ignore_index, len(names), data)
    require(isinstance(reduce_zero_label, bool), f'reduce_zero_label is {reduce_zero_label!r}, expected True or False.')
    require(
        not reduce_zero_label or ignore_index in (None, _MOST),
        f'reduce_zero_label=True makes {_MOST} of value 0, and ignore_index is {ignore_index}: expected {_MOST}. Leave '
        f'out ignore_index.',
    )


def _question(data: Path, names: list[str], missing: list[int], value: int, pixels: Counter[int], from_1: str) -> str:
    """Ask what a value beyond the names is, where the answer decides whether all names have pixels."""
    answers = [f'If it is no label: --cfg-options ignore_index={value}.', from_1]
    if len(missing) == 1:
        answers.append(f'If it is {names[missing[0]]}: write {missing[0]} instead of {value} into the masks.')
    share = _percent(pixels[value] / sum(pixels.values()))
    return (
        f'No pixel in the masks of {shown(data)} is {first_few(names[k] for k in missing)}, and {share} have the value '
        f'{value}, beyond the {len(names)} class names: value k is name k, from 0. Say what value {value} is. '
        f'{" ".join(answer for answer in answers if answer)}'
    )


def _shares(names: list[str], labels: Counter[int], ignore_index: int) -> str:
    total = sum(labels.values())
    shares = [f'{name} {_percent(labels[k] / total)}' for k, name in enumerate(names)]
    unlabelled = f'; no label {_percent(labels[ignore_index] / total)}' if labels[ignore_index] else ''
    return f'Pixels by name, in up to {_READ} masks: {", ".join(shares)}{unlabelled}.'


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return 'below 0.1 %'
    return f'{100 * share:.1f} %' if share else '0 %'
