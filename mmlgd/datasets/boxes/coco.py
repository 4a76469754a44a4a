"""Boxes in COCO's format: one JSON file for each split."""

import json
import os
from pathlib import Path, PurePath
from typing import Any, Optional

from mmlgd.errors import brief, shown
from mmlgd.utils.files import require_file

from .places import BoxesError

KEYS = ('images', 'annotations', 'categories')


def read_coco(file: Path) -> Optional[dict[str, Any]]:
    """Read an annotation file in COCO's format.

    Args:
        file (Path): A JSON file.

    Returns:
        dict, optional: Its content; None if the file is JSON of another kind.

    Raises:
        BoxesError: It is no JSON that pycocotools reads, or what it has under COCO's keys is of another form.
    """
    require_file(file)
    content = file.read_bytes()
    try:
        told = json.loads(content)  # in each encoding of JSON: the file may be of another kind
    except (ValueError, RecursionError) as error:  # also for a number of more than 4300 digits
        raise BoxesError(
            f'{shown(file)} is no JSON in UTF-8: {error}. If it is cut off, fetch it again; if it is not of this data '
            f'set, move it out; else save it as UTF-8.'
        ) from error
    if not isinstance(told, dict) or not {*KEYS} <= {*told}:
        return None
    if json.detect_encoding(content) != 'utf-8':
        raise BoxesError(f'{shown(file)} is not in UTF-8. Save it as UTF-8 without a byte order mark.')
    for key in KEYS:
        if not (isinstance(told[key], list) and all(isinstance(row, dict) for row in told[key])):
            raise BoxesError(
                f'{shown(file)} has {", ".join(KEYS)} as COCO does, but its {key} are no list of objects. Write them '
                f'as {key}=[{{"id": 1, ...}}, ...], or move the file out of the data.'
            )
    return told


def names_of(told: dict[str, Any], file: PurePath) -> list[str]:
    """List the class names of an annotation file, in the order of its labels.

    Roboflow adds a category above the others, without boxes, and others number from 0; both are kept as they are.

    Args:
        told (dict): From :func:`read_coco`.
        file (PurePath): The file, for the error.

    Returns:
        List[str]: Names.

    Raises:
        BoxesError: There are none, or one has no name.
    """
    names = [one.get('name') for one in told['categories']]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise BoxesError(f'{shown(file)} has no categories with names. Expected categories=[{{"id": 1, "name": ...}}].')
    return names


def require_file_names(told: dict[str, Any], file: Path) -> None:
    """Refuse images without a name of their file.

    Args:
        told (dict): From :func:`read_coco`.
        file (Path): The file, for the error.

    Raises:
        BoxesError: An image has none.
    """
    if count := sum(not isinstance(one.get('file_name'), str) for one in told['images']):
        raise BoxesError(
            f'{shown(file)} has no file_name for {count} of {len(told["images"])} images. Expected images=[{{"id": 1, '
            f'"file_name": ...}}]. LVIS has a coco_url in its place: `mmlgd train` reads such files with a config of '
            f'mmdetection for LVIS.'
        )


def folder_of_images(data: Path, file: PurePath, told: dict[str, Any]) -> str:
    """Find the folder that the names of an annotation file are relative to.

    Args:
        data (Path): The folder of the data.
        file (PurePath): The annotation file in it.
        told (dict): Its content.

    Returns:
        str: The folder, relative to ``data``; empty for ``data`` itself.

    Raises:
        BoxesError: No folder has its first image, or an image has no name.
    """
    if not told['images']:
        raise BoxesError(f'{shown(data / file)} lists no images. Give a file with images and their boxes.')
    require_file_names(told, data / file)
    first = told['images'][0]['file_name']
    word = file.stem.split('_')[-1]  # instances_train2017.json: train2017
    tried = [file.parent, PurePath(word), PurePath('images', word), PurePath('images'), PurePath('')]
    tried += [file.parent / 'images', file.parent / 'data']  # FiftyOne has data
    if word.startswith('val'):
        tried += [PurePath('valid'), PurePath('images', 'valid')]
    for folder in tried:
        if os.path.isfile(data / folder / first):  # False for a name that no file can have
            return '' if folder == PurePath('') else folder.as_posix()
    raise BoxesError(
        f'The image {brief(first)!r} of {shown(data / file)} is in none of its usual folders: '
        f'{", ".join(dict.fromkeys(shown(data / folder) for folder in tried))}. Move the images into one of them, or '
        f'write the names of their files, relative to it and with /, into the file.'
    )
