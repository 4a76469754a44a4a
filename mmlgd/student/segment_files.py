"""Segmentation of many images into files: label maps, scores, and overlays with a legend."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np
from PIL import Image

from mmlgd.datasets.folder import require_outside
from mmlgd.errors import ConfigError, MMLGDError, sentence, shown
from mmlgd.utils.bar import shown_in_bar
from mmlgd.utils.files import write_by
from mmlgd.utils.validation import require

from .images import ImageSource, find_images, output_files
from .overlays import overlay, palette
from .segment import IGNORED, Segmentation, Segmenter


def segment_files(
    segmenter: Segmenter, images: Any, out: Optional[Path] = None, scores: bool = False, skip: bool = True
) -> Iterator[tuple[ImageSource, Segmentation, Optional[Path]]]:
    """Segment images one by one, and write each into a folder.

    ``names.json`` has the names in label order. For each image, ``labels/NAME.png`` is a label map whose values are
    labels and whose palette is that of the overlays, 255 where there is no name; ``overlays/NAME.png`` is the drawing,
    and ``scores/NAME.npy`` has the scores of all names, (K, H, W) float16.

    Args:
        segmenter (Segmenter): From :meth:`mmlgd.Student.segmenter`.
        images (Any): Files, URLs, folders and arrays.
        out (Path, optional): The folder. Defaults to None: nothing is written.
        scores (bool): Write scores, too. Defaults to False.
        skip (bool): Skip unreadable images with a warning. Defaults to True.

    Yields:
        Tuple[ImageSource, Segmentation, Path | None]: Each image, its names, and its label map.

    Raises:
        ConfigError: An image cannot be read, or none of them can; or the folder is among the images, which a next run
            would read or this one overwrite; or it has label maps of other names.
    """
    sources = find_images(images)
    if not skip:
        for source in sources:
            source.read()
    if out is not None:
        _check_place(out, images, sources)
        _write_names(out / 'names.json', segmenter.names)
    targets = [None] * len(sources) if out is None else output_files(sources, out / 'labels')
    read = 0
    for source, target in shown_in_bar(list(zip(sources, targets)), 'Images'):
        try:
            image = source.read()
            found = segmenter.segment(image, scores)
        except MMLGDError as error:
            if not skip:
                raise
            reason = error if str(source) in str(error) else f'{source}: {error}'
            warnings.warn(f'{sentence(reason)} It is skipped.', stacklevel=2)
            continue
        read += 1
        if target is not None:
            _write(image, found, target, out)
        yield source, found, target
    if not read:
        raise ConfigError(
            f'None of {len(sources)} images can be segmented; the first is {sources[0]}. The warnings say why.'
        )


def _check_place(out: Path, images: Any, sources: list[ImageSource]) -> None:
    parts = [out / part for part in ('labels', 'overlays', 'scores')]
    for one in images if isinstance(images, (list, tuple)) else [images]:
        if isinstance(one, (str, Path)) and Path(one).expanduser().is_dir():
            for part in parts:
                require_outside(part, Path(one).expanduser(), 'The output', '--out')
    written = {part.resolve() for part in parts}
    for source in sources:
        require(
            source.path is None or written.isdisjoint(Path(source.path).resolve().parents),
            f'{source} lies in the output of a run, {shown(out)}, which would be overwritten. Give another --out.',
        )


def _write_names(file: Path, names: list[str]) -> None:
    """Write names and colours; maps of other names beside them would be read with these."""
    told = dict(names=names, no_name=IGNORED, colors=palette(len(names))[: len(names)].tolist())
    content = (json.dumps(told, ensure_ascii=False) + '\n').encode()
    require(
        not file.exists() or file.read_bytes() == content,
        f'{shown(file.parent)} has label maps of other names, as its {file.name} says, which would be read with those '
        f'of this run. Give another --out, or remove the folder.',
    )
    _save(file, lambda stream: stream.write(content))


def _write(image: np.ndarray, found: Segmentation, target: Path, out: Path) -> None:
    labels = Image.fromarray(found.labels.numpy()).convert('P')
    labels.putpalette(palette(len(found.names)).tobytes())
    _save(target, lambda file: labels.save(file, format='PNG'))
    place = target.relative_to(out / 'labels')
    _save(out / 'overlays' / place, lambda file: overlay(image, found).save(file, format='PNG'))
    if found.scores is not None:
        values = found.scores.numpy().astype(np.float16)
        _save((out / 'scores' / place).with_suffix('.npy'), lambda file: np.save(file, values))


def _save(file: Path, write: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_by(write, file)
