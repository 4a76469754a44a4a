"""Class names for images, as data and as a table."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

from mmlgd.errors import ConfigError
from mmlgd.utils.files import require_writable, write_whole
from mmlgd.utils.validation import require, whole

if TYPE_CHECKING:
    from mmlgd.student import Student

# Large packages are imported inside functions: the help of `mmlgd predict`, which reads this module, must not wait for
# them.


def predict(
    checkpoint: Union[str, Path, 'Student'],
    images: Union[list[str], str, Path],
    *,
    names: Union[list[str], str, Path, dict, None] = None,
    templates: Union[str, list, None] = None,
    teacher_options: Optional[dict] = None,
    topk: int = 5,
    batch_size: Optional[int] = None,
    on_error: Literal['skip', 'raise'] = 'skip',
    device: Optional[str] = None,
    show_dir: Union[str, Path, None] = None,
    out: Union[str, Path, None] = None,
    segment: bool = False,
    size: Optional[int] = None,
    window: Optional[int] = None,
    stride: Optional[int] = None,
    background: Optional[float] = None,
    scores: bool = False,
) -> list[dict]:
    """Classify images with a student and any class names, or with ``segment`` each of their pixels.

    To classify, images are prepared as in the evaluation of the student's training, at its own size. To segment, they
    are resized by their aspect ratio, and label maps have the images' own sizes.

    Args:
        checkpoint (str | Path | Student): A checkpoint of LGD training or its published file, as a file or URL.
        images (List[str] | str | Path): Files, URLs, and folders, which are searched with their sub-folders.
        names (List[str] | str | Path | dict, optional): A text file, a known set, or two or more names: one word is a
            file or a set. Defaults to the names of training; these, or some of them, need no teacher. ``'sky|clouds'``
            is one class with two phrasings.
        templates (str | list, optional): Prompt templates: openai-imagenet-80, openai-imagenet-7, plain, or sentences
            with one {} each. Defaults to the templates of training.
        teacher_options (dict, optional): Changes to the config of the teacher that embeds other names, for example
            pretrained=FILE. A teacher in a file or folder must be named. Defaults to None.
        topk (int): Names per image, at most. Defaults to 5.
        batch_size (int, optional): Images per batch, to classify. Defaults to 32.
        on_error (str): ``skip`` skips unreadable images with a warning that names them; ``raise`` stops before any
            prediction. Defaults to ``skip``.
        device (str, optional): Where to compute, for example cpu or cuda:1. Defaults to the GPU if there is one.
        show_dir (str | Path, optional): To classify: folder for copies of the images with their best name. Defaults to
            None.
        out (str | Path, optional): File to write, ``.csv`` or ``.json``; with ``segment``, the folder for label maps,
            overlays and scores. Defaults to None.
        segment (bool): Name each pixel. Defaults to False.
        size (int, optional): To segment: pixels of the short side of the resized image. Larger sizes give finer maps.
            Defaults to the student's own size.
        window (int, optional): To segment: height and width of sliding windows in pixels of the resized image. Defaults
            to the whole image, or for a large image to the student's own size.
        stride (int, optional): To segment: pixels from window to window, with a window. Defaults to two thirds of it.
        background (float, optional): To segment: pixels whose best score is lower, 0 to 1, get no name and label 255.
            Defaults to None: a name for each pixel.
        scores (bool): To segment: write the scores of all names, too. Defaults to False.

    Returns:
        List[dict]: For each image that could be read, ``image`` and ``names``, a list of (name, score), best first;
        the scores of all names sum to 1. With ``segment``, ``names`` has shares of the pixels instead of scores, and
        ``labels`` is the label map's file.

    Raises:
        MissingFileError: A file or folder does not exist.
        CheckpointError: The checkpoint is truncated, has no names, or does not fit.
        ConfigError: No image can be read, or an option is out of its range.

    Examples:
        >>> import mmlgd
        >>> mmlgd.predict('epoch_200.pth', ['cat.jpg'], names=['cat', 'dog'])  # doctest: +SKIP
        [{'image': 'cat.jpg', 'names': [('cat', 0.93), ('dog', 0.07)]}]
    """
    import numpy as np
    from mmengine.device import get_device

    from mmlgd.student import ZeroShotInferencer, get_zero_shot_classifier
    from mmlgd.student.segment_files import segment_files

    topk = whole('topk', 1, 10**6)(topk)
    of_segments = dict(size=size, window=window, stride=stride, background=background)
    if isinstance(images, Iterable) and not isinstance(images, (str, np.ndarray)):
        images = list(images)  # also of a set or a column of a table
    if segment:
        _refuse('with --segment', batch_size=batch_size, show_dir=show_dir)
        require(not scores or out is not None, '--scores writes into the folder --out: give one.')
        if out is not None:
            require_writable(out)
        device = device or get_device()
        student = get_zero_shot_classifier(checkpoint, names, templates, teacher_options, device).to(device)
        segmenter, folder = student.segmenter(**of_segments), None if out is None else Path(out)
        return [
            dict(image=source.path, names=one.shares()[:topk], labels=None if file is None else str(file))
            for source, one, file in segment_files(segmenter, images, folder, scores, on_error == 'skip')
        ]
    _refuse('without --segment', **of_segments, scores=scores or None)
    batch_size = whole('batch size', 1, 10**5)(32 if batch_size is None else batch_size)
    if out is not None:
        if Path(out).suffix.lower() not in _WRITERS or Path(out).is_dir():
            kind = 'a folder' if Path(out).is_dir() else 'another file'
            raise ConfigError(f'--out takes a file that ends with {" or ".join(_WRITERS)}; {str(out)!r} is {kind}.')
        require_writable(Path(out).parent)
    if show_dir is not None:
        require_writable(show_dir)
    inferencer = ZeroShotInferencer(checkpoint, names, templates, teacher_options, device)
    found = inferencer(images, batch_size=batch_size, topk=topk, on_error=on_error, show_dir=show_dir)
    results = [dict(image=one['img_path'], names=one['topk']) for one in found]
    if out is not None:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        # A path need not be UTF-8.
        write_whole(out, _WRITERS[Path(out).suffix.lower()](results).encode(errors='backslashreplace'))
    return results


def _refuse(where: str, **options: Any) -> None:
    given = [f'--{name.replace("_", "-")}' for name, value in options.items() if value is not None]
    require(not given, f'{", ".join(given)} has no meaning {where}. Leave it out.')


def _as_csv(results: list[dict]) -> str:
    """Write a line for each image and name."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(['image', 'rank', 'name', 'score'])
    for result in results:
        writer.writerows(
            [result['image'], rank, name, f'{score:.6f}'] for rank, (name, score) in enumerate(result['names'], 1)
        )
    return file.getvalue()


def _as_json(results: list[dict]) -> str:
    return json.dumps(results, indent=1, ensure_ascii=False) + '\n'


_WRITERS = {'.csv': _as_csv, '.json': _as_json}
