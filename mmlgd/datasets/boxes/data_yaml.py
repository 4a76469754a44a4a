"""The ``data.yaml`` of a data set in YOLO's format: its class names, its parts and its keypoints."""

import os
import re
from collections import Counter
from pathlib import Path, PurePath
from typing import Any, Optional

import yaml

from mmlgd.datasets.part_lists import images_of
from mmlgd.errors import brief, shown
from mmlgd.utils.files import read_small

from .places import BoxesError

_MERGE = 'tag:yaml.org,2002:merge'
_PARTS = dict(train=('train',), val=('val', 'validation', 'valid'), test=('test',))


class _Loader(yaml.SafeLoader):
    """Reads what is written: YAML makes 8 of the name 010, False of no, and a date of the folder 2012-01-02.

    A key that is there twice is an error: the first of two names of a label would be lost.
    """

    def compose_mapping_node(self, anchor: Optional[str]) -> yaml.MappingNode:
        """Read a mapping as it is written: later, those that it merges are in it, too.

        Args:
            anchor (str, optional): Of PyYAML's method.

        Returns:
            yaml.MappingNode: As it was parsed.

        Raises:
            yaml.YAMLError: A key is there twice.
        """
        node = super().compose_mapping_node(anchor)
        keys = Counter(key.value for key, _ in node.value if key.tag != _MERGE and isinstance(key.value, str))
        if twice := [key for key, count in keys.items() if count > 1]:
            raise yaml.constructor.ConstructorError(None, None, f'{brief(twice[0])} is there twice', node.start_mark)
        return node


_Loader.yaml_implicit_resolvers = {
    first: [one for one in known if one[0] in ('tag:yaml.org,2002:null', _MERGE)]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class DataYaml:
    """The settings of a data set in YOLO's format; empty if it has no such file.

    Args:
        data (Path): The folder of the data, with the file in it.

    Raises:
        BoxesError: It is no YAML, or there are several.
    """

    def __init__(self, data: Path):
        told = {}
        for file in sorted([*data.glob('*.yaml'), *data.glob('*.yml')]):
            try:
                settings = yaml.load(read_small(file), _Loader)
            except (yaml.YAMLError, ValueError, RecursionError) as error:  # of values with tags, deep lists
                raise BoxesError(f'{shown(file)} is no YAML: {error}. Repair it, or remove it.') from error
            if isinstance(settings, dict) and {'names', 'train'} & {*settings}:
                told[file] = settings
        if len(told) > 1 and data / 'data.yaml' not in told:
            raise BoxesError(
                f'{shown(data)} has several files with names or parts: {", ".join(shown(file.name) for file in told)}. '
                f'Keep one of them, or name it data.yaml.'
            )
        self._data = data
        self._file = data / 'data.yaml' if len(told) > 1 else next(iter(told), data / 'data.yaml')
        self._told: dict[Any, Any] = told.get(self._file, {})

    def names(self) -> Optional[list[str]]:
        """Read the class names.

        Returns:
            List[str], optional: In the order of the labels; None if it has none.

        Raises:
            BoxesError: They are neither a list nor numbered from 0 without gaps, one is no text, or ``nc`` is another
                number than theirs.
        """
        names = self._told.get('names')
        if isinstance(names, dict):
            try:
                numbered = {int(label): name for label, name in names.items()}
            except (TypeError, ValueError, OverflowError) as error:  # OverflowError: .inf
                raise BoxesError(f'{shown(self._file)} has names of labels that are no numbers: {error}.') from error
            if sorted(numbered) != list(range(len(names))):
                raise BoxesError(
                    f'{shown(self._file)} has names for the labels {", ".join(map(str, sorted(numbered)[:8]))}, ...: '
                    f'expected 0 to {len(names) - 1} without gaps. Give a name for every label.'
                )
            names = [numbered[label] for label in sorted(numbered)]
        if names is not None and not isinstance(names, list):
            raise BoxesError(
                f'{shown(self._file)} has names={brief(names)}. Expected a list, or `0: name` on a line each.'
            )
        names = names or []
        if others := [name for name in names if not isinstance(name, str)]:
            raise BoxesError(
                f'{shown(self._file)} has names={brief(names)}, where {brief(others[0])} is no text. Quote it.'
            )
        nc = _text(self._told.get('nc'))
        if names and nc.isdecimal() and nc != str(len(names)):
            raise BoxesError(
                f'{shown(self._file)} has nc={brief(nc)}, and {len(names)} names ({brief(", ".join(names[:5]))}). Give '
                f'a name for each label, and their number.'
            )
        return names or None

    def keypoints(self) -> Optional[int]:
        """Read how many numbers follow each box.

        Returns:
            int, optional: Those of its keypoints; None if it has none.

        Raises:
            BoxesError: ``kpt_shape`` is not such two numbers.
        """
        shape = self._told.get('kpt_shape')
        if shape is None:
            return None
        told = re.fullmatch(r'([0-9]{1,4}) ([23])', ' '.join(map(_text, shape if isinstance(shape, list) else [])))
        if told is None:
            raise BoxesError(f'{shown(self._file)} has kpt_shape={brief(shape)}. Expected [keypoints, 2 or 3].')
        return int(told[1]) * int(told[2])

    def parts(self, images: list[PurePath]) -> dict[str, list[PurePath]]:
        """Read the images of each part. Without a validation part, the test part is read.

        Folders and lists may be those of another machine, and count from several places in the wild: of a path, the
        longest end counts that has images in this folder.

        Args:
            images (List[PurePath]): Relative to the folder of the data.

        Returns:
            Dict[str, List[PurePath]]: Images of ``'train'``, ``'val'`` and ``'test'``, of those that the file names.

        Raises:
            BoxesError: A folder or list is not there, or lies outside the folder of the data.
            PartsError: A list cannot be followed.
        """
        parts: dict[str, list[PurePath]] = {}
        for part, keys in _PARTS.items():
            named = next((self._told[key] for key in keys if self._told.get(key)), None)
            if named and not (part == 'test' and 'val' in parts):
                places = named if isinstance(named, list) else [named]
                parts[part] = sorted({image for place in places for image in self._images(part, _text(place), images)})
        return parts

    def _images(self, part: str, place: str, images: list[PurePath]) -> list[PurePath]:
        path = PurePath(_text(self._told.get('path') or ''), place.replace('\\', '/'))
        there = Path(os.path.abspath(self._data / path))  # a part may lie behind a link in the data
        is_inside = there.is_relative_to(os.path.abspath(self._data))
        if there.exists() and not (is_inside or there.resolve().is_relative_to(self._data.resolve())):
            raise BoxesError(
                f'{shown(self._file)} has its {part} part at {shown(there)}, outside of {shown(self._data)}. Give the '
                f'folder around both as --data, or correct the file.'
            )
        steps = [step for step in path.parts if step not in ('..', path.anchor)]
        for start in range(max(1, len(steps))):
            end = PurePath(*steps[start:])
            if end.suffix == '.txt' and (self._data / end).is_file():
                return images_of(self._data / end, images)
            if found := [image for image in images if end in image.parents]:
                return found
        raise BoxesError(
            f'{shown(self._file)} has its {part} part at {place!r}, and {shown(self._data)} has no such folder of '
            f'images and no such list. Correct the file, or remove the line: its part is then found by folders.'
        )


def _text(value: Any) -> str:
    """Write a value of YAML, which may be a list of lists that share their parts."""
    return value if isinstance(value, str) else brief(value)
