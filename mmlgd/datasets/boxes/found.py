"""Finds the boxes of a folder, whatever their format."""

from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Optional

from mmlgd.datasets.part_lists import listed_parts
from mmlgd.errors import MissingFileError, brief, shown
from mmlgd.text import VocabularyError, load_vocabulary
from mmlgd.utils.paths import IMAGE_SUFFIXES

from . import coco, voc, yolo
from .complete import completed
from .places import BoxesError, by_key, files_in, in_both, key_of, parts_of, split_of
from .sound import boxes_of_names, check_content, left_out
from .split import part_of, split_images


@dataclass
class FoundBoxes:
    """The boxes of a folder, with images for training and for validation.

    Attributes:
        kind (str): ``'COCO'``, ``'VOC'`` or ``'YOLO'``.
        names (List[str]): Class names, by label.
        parts (Dict[str, dict]): The content of an annotation file in COCO's format, for ``'train'`` and ``'val'``.
        folders (Dict[str, str]): The folder of the images of each part, relative to the data.
        files (Dict[str, str]): Annotation files that are there already and need no copy, relative to the data.
        is_split (bool): Whether the parts were drawn, because the data have none.
        notes (List[str]): What is left out, added or taken for granted, a sentence each.
    """

    kind: str
    names: list[str]
    parts: dict[str, dict[str, Any]]
    folders: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    is_split: bool = False
    notes: list[str] = field(default_factory=list)


def find_boxes(data: Path, names: Optional[list[str]] = None, seed: int = 0) -> FoundBoxes:
    """Find the boxes of a folder in COCO's, VOC's or YOLO's format, with parts for training and validation.

    The parts are those of the data: by lists or YOLO's data.yaml, or by the names of folders or files (train, val,
    valid, test). If there is no validation part, the test part takes its place; if there is neither, a fifth of the
    images is drawn.

    Args:
        data (Path): The folder.
        names (List[str], optional): Class names in the order of labels, from
            :func:`~mmlgd.text.load_vocabulary`. Defaults to None: those of the data.
        seed (int): Seed of the draw. Defaults to 0.

    Returns:
        FoundBoxes: The boxes; nothing is written.

    Raises:
        MissingFileError: There is no such folder.
        BoxesError: There are no boxes in it, or they do not fit their images or names.
        PartsError: A list of the images of a part cannot be followed.
    """
    if not data.is_dir():
        raise MissingFileError(
            f'There is no folder of data at {shown(data)}. Give the one that has the images and their boxes.'
        )
    found = _coco(data) or _one_file_an_image(data, names)
    if found.names:  # files of VOC without any box name none
        _settle_names(found, data, names)
    _settle_parts(found, data, seed)
    return found


def _one_file_an_image(data: Path, names: Optional[list[str]]) -> FoundBoxes:
    there, texts = files_in(data, *IMAGE_SUFFIXES), files_in(data, '.txt')
    annotations = [file for file in files_in(data, '.xml') if voc.is_voc(data / file)]
    labels = yolo.label_files(texts, {*map(key_of, there)})
    if not annotations and not labels:
        raise BoxesError(
            f'{shown(data)} has {len(there)} images, and no boxes that can be read. Expected one of: COCO, JSON files '
            f'with images, annotations and categories; VOC, an XML file for each image; YOLO, a text file for each '
            f'image and a data.yaml. `mmlgd segment` reads masks.'
        )
    images = by_key(there)
    if annotations:
        kind, (names, parts, notes) = 'VOC', voc.read_voc(data, annotations, images, names)
    else:
        kind, (names, parts, notes) = 'YOLO', yolo.read_yolo(data, labels, images, names)
        notes += yolo.strays(data, texts, images)
    for what, said in (
        ('left_out', 'are narrower than 1 px or outside their image, and are left out'),
        ('cut', 'reach more than 1 px beyond their image, and are cut to it'),
    ):
        if count := sum(told['info'][what] for told in parts.values()):
            notes.append(f'{count} boxes {said}.')
    return FoundBoxes(kind, names, parts, notes=notes)


def _coco(data: Path) -> Optional[FoundBoxes]:
    read = ((file, coco.read_coco(data / file)) for file in files_in(data, '.json'))
    told = [(split_of(file), file, content) for file, content in read if content is not None]
    if not told:
        return None
    found, there = FoundBoxes('COCO', [], {}), {split for split, *_ in told}
    files: dict[Optional[str], PurePath] = {}
    instances = {split for split, file, _ in told if _is_instances(file)}
    for split, file, content in told:
        if split is None and 'train' in there:
            found.notes.append(f'{shown(file)} names no part, and is left out.')
            continue
        if split in instances and not _is_instances(file):
            found.notes.append(f'{shown(file)} is left out: the boxes of its part are in an instances file.')
            continue
        if split == 'test' and 'val' in there:  # it may name images that were never fetched
            continue
        if (other := files.setdefault(split, file)) != file:
            raise BoxesError(
                f'{shown(data)} has two annotation files of one part: {other.as_posix()} and {file.as_posix()}. Keep '
                f'one of them there, or name their parts: train, val or test.'
            )
        theirs = coco.names_of(content, file)
        found.names = found.names or theirs
        if theirs != found.names:
            raise BoxesError(
                f'{file.as_posix()} has the categories {", ".join(theirs[:5])}, but '
                f'{next(iter(files.values())).as_posix()} has {", ".join(found.names[:5])} ({len(theirs)} and '
                f'{len(found.names)} in all). Labels follow their order: write both files with the same categories in '
                f'the same order.'
            )
        found.folders[split] = coco.folder_of_images(data, file, content)
        check_content(content, data / file, data / found.folders[split])
        found.parts[split], added = completed(content, shown(data / file))
        if not added:
            found.files[split] = file.as_posix()
        found.notes += [*added, *left_out(found.parts[split], shown(data / file))]
    if {*found.parts} == {None}:
        _divide(found, data)
    return found


def _is_instances(file: PurePath) -> bool:
    """Check for COCO's own name of a file of boxes, beside which lie person_keypoints and panoptic ones."""
    return file.name.startswith('instances_')


def _divide(found: FoundBoxes, data: Path) -> None:
    """Divide the one file that there is, if lists or the folders of its images name parts."""
    told, folder = found.parts[None], found.folders[None]
    ids = {PurePath(folder, one['file_name']): one['id'] for one in told['images']}
    parts, notes = parts_of(ids, listed_parts(data, ids, 'Main'))
    if {*parts} != {None}:
        found.parts = {part: part_of(told, {ids[image] for image in images}) for part, images in parts.items()}
        found.folders, found.files, found.notes = dict.fromkeys(parts, folder), {}, found.notes + notes


def _settle_parts(found: FoundBoxes, data: Path, seed: int) -> None:
    """Leave a part for training and one for validation, each with images and boxes."""
    parts, folders, files = found.parts, found.folders, found.files
    if 'train' not in parts and None in parts:
        for table in (parts, folders, files):
            if None in table:
                table['train'] = table.pop(None)
    if 'train' not in parts:
        raise BoxesError(
            f'{shown(data)} has no images for training: its parts are {", ".join(map(str, parts))}. Name a folder, or '
            f'an annotation file, after train.'
        )
    if 'val' not in parts and 'test' in parts:
        for table in (parts, folders, files):
            if 'test' in table:
                table['val'] = table['test']
    if 'val' not in parts:
        parts.update(split_images(parts['train'], seed))
        folders['val'] = folders.get('train', '')
        files.clear()
        found.is_split = True
    for table in (parts, folders, files):
        for key in [key for key in table if key not in ('train', 'val')]:
            table.pop(key)
    counts = {split: sum(boxes_of_names(told).values()) for split, told in parts.items()}
    again = ' The parts were drawn: another --seed draws others.' if found.is_split and any(counts.values()) else ''
    for split, told in parts.items():
        if not counts[split]:
            raise BoxesError(
                f'The {split} part of {shown(data)} has {len(told["images"])} images and no box that counts. Expected '
                f'boxes of 1 px or more in their images; those of crowds and difficult ones do not count.{again}'
            )
    if without := [name for name, count in boxes_of_names(parts['val']).items() if not count]:
        found.notes.append(
            f'{len(without)} class names have no box to validate ({", ".join(without[:5])}'
            f'{", ..." if without[5:] else ""}): AP is the mean of the others.'
        )
    found.notes += in_both(
        *([(folders.get(part), one['file_name']) for one in parts[part]['images']] for part in ('train', 'val'))
    )


def _settle_names(found: FoundBoxes, data: Path, given: Optional[list[str]]) -> None:
    """Write the class names as every reader of a config takes them, such as without a blank at their end."""
    try:
        names = load_vocabulary(found.names)
    except VocabularyError as error:
        raise BoxesError(f'The class names of {shown(data)} are {brief(found.names)}: {error}') from error
    if given not in (None, names):
        raise BoxesError(
            f'The class names given are {", ".join(given[:5])}, but {shown(data)} has the categories '
            f'{", ".join(names[:5])}. Leave --names out: the names of the data are used, in their order.'
        )
    if changed := [(one, other) for one, other in zip(found.names, names) if one != other]:
        one, other = changed[0]
        found.notes.append(f'{len(changed)} class names are written in another way: {one!r} is {other!r}.')
        for told in found.parts.values():
            told['categories'] = [dict(one, name=name) for one, name in zip(told['categories'], names)]
        found.names, found.files = names, {}
