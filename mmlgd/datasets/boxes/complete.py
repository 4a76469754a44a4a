"""What mmdetection and pycocotools need of annotations in COCO's format, and content that is completed with it.

pycocotools writes the id of the box that was found into a table of zeros: with id 0 it stays "not found", and a perfect
detector has false alarms. It stops without iscrowd, scores what is marked by ignore, and sorts categories by their ids,
while mmdetection names its scores of classes in the order of the file. mmdetection stops without area, and leaves out
boxes of area 0.
"""

from collections.abc import Sequence
from typing import Any

from .content import is_number
from .places import BoxesError

_SAID = dict(
    id='{} annotations have an id of 0 or no whole number, so that pycocotools takes found boxes for false alarms',
    iscrowd='{} annotations have no iscrowd, without which pycocotools stops',
    area='{} annotations have no area, without which mmdetection stops',
    flat='{} annotations have an area of 0, for which mmdetection leaves their boxes out',
    ignore='{} annotations have ignore=1 without iscrowd=1: mmdetection leaves them out, and pycocotools scores them',
    order='{} categories have ids that do not rise, so that mmdetection prints the AP of a class beside another name',
)


def completed(told: dict[str, Any], where: str) -> tuple[dict[str, Any], list[str]]:
    """Add what annotations lack: ids from 1, iscrowd (1 for what is to be ignored), and the area of the box.

    An area of 0 stays if there is an outline, whose area it may be. Categories whose ids do not rise are numbered anew.

    Args:
        told (dict): Checked by :func:`~mmlgd.datasets.boxes.sound.check_content`.
        where (str): Its file, for the note.

    Returns:
        Tuple[dict, List[str]]: The content, itself if it lacks nothing, and what was added: a sentence, or none.

    Examples:
        >>> told, _ = completed(dict(categories=[], annotations=[dict(id=0, bbox=[0, 0, 4, 2])]), 'a.json')
        >>> told['annotations'][0] == dict(id=1, bbox=[0, 0, 4, 2], area=8, iscrowd=0)
        True
    """
    if not (said := _lacks(told, tuple(_SAID))):
        return told, []
    rows = [dict(one, area=_area(one), iscrowd=int(_is_ignored(one))) for one in told['annotations']]
    for row in rows:
        row.pop('ignore', None)
    if not all(map(_has_id, rows)):
        rows = [dict(row, id=number) for number, row in enumerate(rows, start=1)]
    categories = told['categories']
    if _falls(categories):
        numbers = {one['id']: number for number, one in enumerate(categories, start=1)}
        categories = [dict(one, id=numbers[one['id']]) for one in categories]
        rows = [dict(row, category_id=numbers[row['category_id']]) for row in rows]
    note = f'{where} is copied into the work dir and completed there: {said}.'
    return dict(told, categories=categories, annotations=rows), [note]


def require_complete(told: dict[str, Any], where: str, is_scored: bool, by_class: bool = False) -> None:
    """Refuse annotations with which a library would stop, or score wrongly.

    Args:
        told (dict): Checked by :func:`~mmlgd.datasets.boxes.sound.check_content`.
        where (str): Its file, for the error.
        is_scored (bool): Whether an evaluation reads them; training needs the area alone.
        by_class (bool): Whether it tells the score of each class. Defaults to False.

    Raises:
        BoxesError: Ids, iscrowd or areas are missing or cannot be used.
    """
    keys = ['area', *(['id', 'iscrowd', 'ignore'] if is_scored else []), *(['order'] if by_class else [])]
    if said := _lacks(told, keys):
        raise BoxesError(
            f'In {where}, {said}. Number the annotations from 1, and the categories upwards; add iscrowd=0 (1 for what '
            f'is to be ignored) and area=width*height. `mmlgd detect --data FOLDER` does so in a copy.'
        )


def _lacks(told: dict[str, Any], keys: Sequence[str]) -> str:
    rows = told['annotations']
    counts = dict(
        id=sum(not _has_id(one) for one in rows),
        iscrowd=sum(one.get('iscrowd') is None for one in rows),
        area=sum(not is_number(one.get('area')) for one in rows),
        flat=sum(is_number(one.get('area')) and one['area'] != _area(one) for one in rows),
        ignore=sum(_is_ignored(one) and not one.get('iscrowd') for one in rows),
        order=_falls(told['categories']),
    )
    return '; '.join(_SAID[key].format(counts[key]) for key in keys if counts[key])


def _has_id(one: dict[str, Any]) -> bool:
    return is_number(one['id']) and one['id'] != 0 and float(one['id']).is_integer()


def _is_ignored(one: dict[str, Any]) -> bool:
    return bool(one.get('iscrowd') or one.get('ignore'))


def _falls(categories: list[dict[str, Any]]) -> int:
    """Count the categories whose id is below the one before."""
    return sum(one['id'] > after['id'] for one, after in zip(categories, categories[1:]))


def _area(one: dict[str, Any]) -> float:
    if is_number(one.get('area')) and (one['area'] > 0 or one.get('segmentation')):
        return one['area']
    *_, width, height = one['bbox']
    return max(0, width) * max(0, height)
