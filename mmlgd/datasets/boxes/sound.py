"""Whether the content of an annotation file in COCO's format fits together, and its images."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from mmlgd.errors import brief, shown
from mmlgd.utils.spread import spread

from .content import is_number, require_size
from .places import BoxesError

_BEYOND = 1.1  # of an image: a box drawn a little over its edge reaches less far, and most corners do further
_OPENED = 5000  # images whose size is compared with that of the file; a header takes half a millisecond


def check_content(told: dict[str, Any], file: Path, folder: Path) -> None:
    """Check that images, boxes and categories belong together.

    Args:
        told (dict): Of :func:`~mmlgd.datasets.boxes.coco.read_coco`.
        file (Path): Its file, for the messages.
        folder (Path): Folder of its images.

    Raises:
        BoxesError: An id is there twice or belongs to nothing, ids are of two kinds, an image or a category's name is
            there twice, a box is not four numbers, boxes can only be corners, or the sizes of images are not those of
            their files, of up to 5000 of them.
    """
    where = shown(file)
    for what in ('images', 'categories', 'annotations'):
        if without := [one for one in told[what] if not _is_id(one.get('id'))]:
            raise BoxesError(
                f'{where} has {len(without)} {what} without an id that is a number or a text; the first has '
                f'{brief(without[0].get("id"))}. Give each a number of its own.'
            )
        (value, count), *_ = Counter(one['id'] for one in told[what]).most_common(1) or [(0, 0)]
        if count > 1:
            raise BoxesError(f'{where} has {count} {what} with the id {value!r}. Give each a number of its own.')
    for what in ('images', 'categories'):
        _refuse_ids_of_two_kinds(where, what, [one['id'] for one in told[what]])
    images, categories = ({one['id']: one for one in told[what]} for what in ('images', 'categories'))
    _refuse_names_twice(where, told)
    _refuse_images_twice(where, told['images'])
    for one in told['images']:
        if wrong := [side for side in ('width', 'height') if not (is_number(one.get(side)) and one[side] > 0)]:
            raise BoxesError(
                f'{where} has no {wrong[0]} for the image {one.get("file_name")!r}, but {_told(one.get(wrong[0]))}. '
                f'Write its width and height in pixels, as numbers.'
            )
    for one in told['annotations']:
        for key, known, what in (('image_id', images, 'image'), ('category_id', categories, 'category')):
            if not _is_id(one.get(key)) or one[key] not in known:
                raise BoxesError(
                    f'{where} has a box with {key} {_told(one.get(key))} (id {one["id"]!r}), and no {what} of this id. '
                    f'Add the {what}, or remove its boxes.'
                )
        box = one.get('bbox')
        if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
            raise BoxesError(
                f'{where} has the bbox {_told(box)} (id {one["id"]!r}). Expected [left, top, width, height] in pixels.'
            )
        if one.get('iscrowd') not in (None, 0, 1):
            raise BoxesError(f'{where} has iscrowd={_told(one["iscrowd"])} (id {one["id"]!r}). Expected 0 or 1.')
    _refuse_corners(where, told['annotations'], images)
    _check_sizes(where, told['images'], folder)


def left_out(told: dict[str, Any], where: str) -> list[str]:
    """Tell which boxes mmdetection leaves out of training.

    Args:
        told (dict): Checked by :func:`check_content`.
        where (str): Its file, for the sentence.

    Returns:
        List[str]: A sentence, or none.
    """
    images = {one['id']: one for one in told['images']}
    without = [one for one in told['annotations'] if not _is_kept(one, images[one['image_id']])]
    if not without:
        return []
    box, image = without[0]['bbox'], images[without[0]['image_id']]
    return [
        f'{len(without)} of the {len(told["annotations"])} boxes of {where} are narrower than 1 px, outside their '
        f'image or of area 0: training leaves them out, and an evaluation counts them as missed. The first is {box} in '
        f'{image.get("file_name")!r} of {image["width"]} x {image["height"]} px.'
    ]


def boxes_of_names(told: dict[str, Any]) -> dict[str, int]:
    """Count the boxes of each class that are trained: none of crowds, VOC's difficult ones, and those left out.

    Args:
        told (dict): Checked by :func:`check_content`.

    Returns:
        Dict[str, int]: By class name, in the order of the categories.

    Examples:
        >>> images, box = [dict(id=7, width=8, height=8)], dict(image_id=7, category_id=1, bbox=[0, 0, 4, 4])
        >>> boxes_of_names(dict(images=images, categories=[dict(id=1, name='cat')], annotations=[box]))
        {'cat': 1}
    """
    images = {one['id']: one for one in told['images']}
    single = (one for one in told['annotations'] if not (one.get('iscrowd') or one.get('ignore')))
    counts = Counter(one['category_id'] for one in single if _is_kept(one, images[one['image_id']]))
    return {one['name']: counts[one['id']] for one in told['categories']}


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or is_number(value)


def _told(value: Any) -> str:
    return repr(value[:100]) if isinstance(value, str) else brief(value)


def _refuse_names_twice(where: str, told: dict[str, Any]) -> None:
    (name, count), *_ = Counter(str(one.get('name')) for one in told['categories']).most_common(1) or [('', 0)]
    if count > 1:
        boxes = Counter(one['category_id'] for one in told['annotations'] if _is_id(one.get('category_id')))
        ids = [one['id'] for one in told['categories'] if str(one.get('name')) == name]
        theirs = [f'id {k} with {boxes[k]} boxes' for k in ids]
        raise BoxesError(
            f'{where} has {count} categories with the name {name!r}: {", ".join(theirs)}. Remove those without boxes, '
            f'or give each a name of its own.'
        )


def _refuse_ids_of_two_kinds(where: str, what: str, ids: list[Any]) -> None:
    """Refuse ids that pycocotools brings into one array of texts, or of rounded numbers, and then does not find."""
    if {*np.unique(ids).tolist()} != {*ids}:
        raise BoxesError(
            f'{where} has {what} with ids that pycocotools cannot tell apart, such as {ids[0]!r} and {ids[-1]!r}: '
            f'numbers beside texts, or numbers of 2^63 and more. Number the {what} from 1.'
        )


def _refuse_images_twice(where: str, images: list[dict[str, Any]]) -> None:
    names = [os.path.normpath(str(one.get('file_name'))) for one in images]
    (name, count), *_ = Counter(names).most_common(1) or [('', 0)]
    if count > 1:
        ids = [one['id'] for one, its in zip(images, names) if its == name]
        raise BoxesError(
            f'{where} lists the image {name!r} {count} times, with the ids {", ".join(map(str, ids[:5]))}: each '
            f'would lack the boxes of the others. List each image once, with all its boxes.'
        )


def _refuse_corners(where: str, boxes: list[dict[str, Any]], images: dict[Any, dict[str, Any]]) -> None:
    """Refuse [left, top, right, bottom]: taken for widths and heights, these reach beyond the images."""
    beyond = []
    for one in boxes:
        (left, top, right, bottom), image = one['bbox'], images[one['image_id']]
        width, height = image['width'], image['height']
        if not (0 <= left < right <= width + 1 and 0 <= top < bottom <= height + 1):  # a pixel for what is rounded
            return
        if left + right > _BEYOND * width or top + bottom > _BEYOND * height:
            beyond.append(one)
    if beyond:
        raise BoxesError(
            f'{where} has boxes such as {beyond[0]["bbox"]} (id {beyond[0]["id"]!r}): {len(beyond)} of {len(boxes)} '
            f'reach beyond their image, and all may be [left, top, right, bottom]. COCO has [left, top, width, '
            f'height]: write these, or cut the boxes to their images.'
        )


def _is_kept(one: dict[str, Any], image: dict[str, Any]) -> bool:
    """As in ``parse_data_info`` of mmdet's ``CocoDataset``."""
    left, top, width, height = one['bbox']
    across = min(left + width, image['width']) - max(left, 0)
    down = min(top + height, image['height']) - max(top, 0)
    return min(width, height) >= 1 and min(across, down) > 0 and one.get('area', 1) > 0


def _check_sizes(where: str, images: list[dict[str, Any]], folder: Path) -> None:
    for one in spread(images, _OPENED):
        file = folder / str(one.get('file_name'))
        if not os.path.isfile(file):
            raise BoxesError(
                f'{where} lists the image {brief(str(one.get("file_name")))!r}, which is not in {shown(folder)}.'
            )
        require_size(where, file, (one['width'], one['height']))
