"""Embeddings of student and teacher for the figures."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmengine.device import get_device
from torch import Tensor

from mmlgd.errors import ConfigError
from mmlgd.evaluation import FrozenModel, extract, load_teacher
from mmlgd.student import Student
from mmlgd.student.images import ImageSource, batches, find_images, preparation
from mmlgd.utils.files import require_writable, write_by
from mmlgd.utils.spread import spread

from .scripts import choose_fonts


@dataclass
class Seen:
    """N images and their embeddings by student and teacher.

    Attributes:
        images (List[ImageSource]): The readable images.
        student (Tensor): (N, D), unit rows.
        teacher (Tensor | None): (N, D), unit rows; None without a teacher.
        bank (Tensor): (K, D), unit rows: embeddings of the class names.
        names (List[str]): The K class names.
    """

    images: list[ImageSource]
    student: Tensor
    teacher: Optional[Tensor]
    bank: Tensor
    names: list[str]


def look(
    checkpoint: Union[str, Path],
    images: Union[str, Path, Sequence[str]],
    limit: int,
    with_teacher: bool,
    names: Union[str, Path, list, dict, None] = None,
    teacher_options: Optional[dict] = None,
) -> Seen:
    """Embed images.

    Args:
        checkpoint (str | Path): A checkpoint of LGD training, or its published file.
        images (str | Path | Sequence[str]): Files or folders.
        limit (int): Maximum number of images, evenly spread over all.
        with_teacher (bool): Whether to run the teacher, too.
        names (str | Path | list | dict, optional): Vocabulary. Defaults to None: the names of training.
        teacher_options (dict, optional): Changes to the teacher's config. Defaults to None.

    Returns:
        Seen: The readable images, at least one.
    """
    student = Student(checkpoint, teacher=teacher_options).with_names(names)
    sources = spread(find_images(images), limit)
    models = dict(student=FrozenModel.of_student(student))
    if with_teacher:
        models['teacher'] = load_teacher(models['student'], teacher_options)
    models = {name: model.to(get_device()) for name, model in models.items()}
    read: list[ImageSource] = []

    def read_batches():
        for batch in batches(sources, preparation(student.pipeline), batch_size=64, skip=True):
            read.extend(sources[sample.index] for sample in batch['data_samples'])
            yield batch

    found = extract(models, read_batches())
    return Seen(
        read,
        found['student'].embeddings,
        found['teacher'].embeddings if with_teacher else None,
        student.bank.cpu(),
        student.names,
    )


def beside(checkpoint: Union[str, Path], name: str) -> Path:
    """Place a figure of a student in the folder of its run.

    Args:
        checkpoint (str | Path): The checkpoint; of an address, the figure goes into the current folder.
        name (str): Name of the figure.

    Returns:
        Path: The file.

    Examples:
        >>> beside('work_dirs/lgd/epoch_200.pth', 'map.png').as_posix()
        'work_dirs/lgd/map.png'
    """
    return Path(name) if '://' in str(checkpoint) else Path(checkpoint).parent / name


def require_figure(out: Union[str, Path]) -> Path:
    """Refuse a file that a figure cannot be written to, before the work starts.

    Args:
        out (str | Path): The file.

    Returns:
        Path: The same file.

    Raises:
        ConfigError: It is a folder, or its suffix is not that of a format of matplotlib.
        WriteError: Its folder is not writable.
    """
    out = Path(out)
    known = FigureCanvasAgg.filetypes
    if out.is_dir() or out.suffix[1:].lower() not in known:
        kind = 'a folder' if out.is_dir() else f'a file that ends with {out.suffix!r}'
        raise ConfigError(f'A figure goes into a file such as figure.png or figure.pdf; {str(out)!r} is {kind}.')
    require_writable(out.parent)
    return out


def save(figure: Figure, file: Path) -> Path:
    """Write a figure; create its folder if needed.

    Args:
        figure (Figure): The figure.
        file (Path): The file to write.

    Returns:
        Path: The same file.

    Raises:
        WriteError: The disk is full, or the folder not writable; an older figure stays as it was.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    choose_fonts(figure)
    with warnings.catch_warnings():  # matplotlib has one for each character, and the log has one for all
        warnings.filterwarnings('ignore', 'Glyph .* missing from', UserWarning)
        write_by(lambda stream: figure.savefig(stream, format=file.suffix[1:].lower()), file)
    return file
