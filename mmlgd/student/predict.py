"""Class names for images, as data and as a table."""

import csv
import io
import json
from pathlib import Path
from typing import Literal, Optional, Union

from mmlgd.errors import ConfigError
from mmlgd.utils.files import require_writable, write_whole
from mmlgd.utils.validation import whole

from .inferencer import ZeroShotInferencer


def predict(
    checkpoint: str,
    images: list[str],
    *,
    names: Union[list[str], str, dict, None] = None,
    templates: Optional[str] = None,
    teacher_options: Optional[dict] = None,
    topk: int = 5,
    batch_size: int = 32,
    on_error: Literal['skip', 'raise'] = 'skip',
    device: Optional[str] = None,
    show_dir: Union[str, Path, None] = None,
    out: Union[str, Path, None] = None,
) -> list[dict]:
    """Classify images with a student and any class names.

    Images are prepared as in the evaluation of the student's training, at its own size.

    Args:
        checkpoint (str): A checkpoint of LGD training or its published file, as a file or URL.
        images (List[str]): Files, URLs, and folders, which are searched with their sub-folders.
        names (List[str] | str | dict, optional): A text file, a known set, or the names themselves. Defaults to the
            names of training, which need no teacher.
        templates (str, optional): Prompt templates: openai-imagenet-80, openai-imagenet-7 or plain. Defaults to the
            templates of training.
        teacher_options (dict, optional): Changes to the config of the teacher that embeds other names, for example
            pretrained=FILE. A teacher in a file or folder must be named. Defaults to None.
        topk (int): Names per image, at most. Defaults to 5.
        batch_size (int): Images per batch. Defaults to 32.
        on_error (str): ``skip`` skips unreadable images with a warning that names them; ``raise`` stops before any
            prediction. Defaults to ``skip``.
        device (str, optional): Where to compute, for example cpu or cuda:1. Defaults to the GPU if there is one.
        show_dir (str | Path, optional): Folder for copies of the images with their best name. Defaults to None.
        out (str | Path, optional): File to write, ``.csv`` or ``.json``. Defaults to None.

    Returns:
        List[dict]: For each image that could be read, ``image`` and ``names``, a list of (name, score), best first;
        the scores of all names sum to 1.

    Raises:
        MissingFileError: A file or folder does not exist.
        CheckpointError: The checkpoint is truncated, has no names, or does not fit.
        ConfigError: No image can be read, or an option is out of its range.

    Examples:
        >>> import mmlgd
        >>> mmlgd.predict('epoch_200.pth', ['cat.jpg'], names=['cat', 'dog'])  # doctest: +SKIP
        [{'image': 'cat.jpg', 'names': [('cat', 0.93), ('dog', 0.07)]}]
    """
    topk, batch_size = whole('topk', 1, 10**6)(topk), whole('batch size', 1, 10**5)(batch_size)
    if out is not None:
        if Path(out).suffix not in _WRITERS:
            raise ConfigError(f'--out takes a file that ends with {" or ".join(_WRITERS)}, got {str(out)!r}.')
        require_writable(Path(out).parent)
    if show_dir is not None:
        require_writable(show_dir)
    names = names[0] if isinstance(names, list) and len(names) == 1 else names
    inferencer = ZeroShotInferencer(checkpoint, names or None, templates, teacher_options, device)
    images = [images] if isinstance(images, (str, Path)) else list(images)
    found = inferencer(images, batch_size=batch_size, topk=topk, on_error=on_error, show_dir=show_dir)
    results = [dict(image=one['img_path'], names=one['topk']) for one in found]
    if out is not None:
        # A path need not be UTF-8.
        write_whole(out, _WRITERS[Path(out).suffix](results).encode(errors='backslashreplace'))
    return results


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
