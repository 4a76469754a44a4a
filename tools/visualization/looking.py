"""What the figures of pictures share: arguments, and the embeddings of student and teacher."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import matplotlib
import numpy as np
from mmengine.config import DictAction
from mmengine.device import get_device
from torch import Tensor

from mmlgd.evaluation import FrozenModel, extract, load_teacher
from mmlgd.student import Student
from mmlgd.student.images import ImageSource, batches, find_images, preparation
from mmlgd.utils.style import STYLE

matplotlib.use('Agg')
matplotlib.rcParams.update(STYLE)


@dataclass
class Seen:
    """N pictures and how they look to student and teacher.

    Attributes:
        pictures (List[ImageSource]): Those that could be read.
        student (Tensor): (N, D), unit rows.
        teacher (Tensor | None): (N, D), unit rows, if it was asked.
        bank (Tensor): (K, D), unit rows: the class names in the joint space.
        names (List[str]): Their K names.
    """

    pictures: list[ImageSource]
    student: Tensor
    teacher: Optional[Tensor]
    bank: Tensor
    names: list[str]


def figure_parser(description: str) -> argparse.ArgumentParser:
    """Make a parser of the shared arguments.

    Args:
        description (str): What is drawn, for ``--help``.

    Returns:
        argparse.ArgumentParser: To be given the tool's own arguments.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='of LGD training, or its published file')
    parser.add_argument('pictures', nargs='+', help='files or folders')
    parser.add_argument('--names', help='vocabulary: a text file or a set; default: that of training')
    parser.add_argument(
        '--teacher-options', nargs='+', action=DictAction, help='changes to its config, as pretrained=FILE'
    )
    return parser


def look(args: argparse.Namespace, limit: int, with_teacher: bool) -> Seen:
    """Embed the pictures.

    Args:
        args (argparse.Namespace): Of a :func:`figure_parser`.
        limit (int): At most so many pictures, evenly spread over those that there are.
        with_teacher (bool): Whether to ask the teacher, too.

    Returns:
        Seen: The pictures that could be read, at least one.
    """
    student = Student(args.checkpoint, teacher=args.teacher_options).with_names(args.names)
    pictures = find_images(args.pictures)
    if len(pictures) > limit:
        pictures = [pictures[i] for i in np.linspace(0, len(pictures) - 1, limit).astype(int)]
    models = dict(student=FrozenModel.of_student(student))
    if with_teacher:
        models['teacher'] = load_teacher(models['student'], args.teacher_options)
    models = {name: model.to(get_device()) for name, model in models.items()}
    read: list[ImageSource] = []

    def read_batches():
        for batch in batches(pictures, preparation(student.pipeline), batch_size=64, skip=True):
            read.extend(pictures[sample.index] for sample in batch['data_samples'])
            yield batch

    found = extract(models, read_batches())
    return Seen(
        read,
        found['student'].embeddings,
        found['teacher'].embeddings if with_teacher else None,
        student.bank.cpu(),
        student.names,
    )


def save(figure, file: Path) -> None:
    """Write a figure, into a folder that may have to be made, and say where."""
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)
    matplotlib.pyplot.close(figure)
    print(f'Drawn: {file}')
