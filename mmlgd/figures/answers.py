"""Sheets of images with the names that a teacher gives to them."""

from pathlib import Path
from typing import Optional

import mmcv
from matplotlib import rc_context
from matplotlib.figure import Figure
from torch.return_types import max as Best

from mmlgd.student.images import ImageSource
from mmlgd.utils.style import FAINT, INK, RIGHT, STYLE, WRONG, clipped

from .looking import save

_COLUMNS, _ROWS = 6, 16  # of a sheet by names
_SIDE = 160  # pixels of an image on a sheet


def draw_examples(
    images: list[ImageSource], best: Best, names: list[str], labels: Optional[list[int]], out: Path
) -> Path:
    """Draw the images that a teacher is surest of, a row for each name: at most 16, half of them its rarest answers.

    Args:
        images (List[ImageSource]): M images.
        best (torch.return_types.max): Scores and indices (M,) of the nearest names.
        names (List[str]): The K names.
        labels (List[int], optional): True names; right answers get a green frame, wrong ones a red frame.
        out (Path): The file to write.

    Returns:
        Path: The same file.
    """
    of_name: dict[int, list[int]] = {}
    for i in best.values.argsort(descending=True, stable=True).tolist():
        of_name.setdefault(best.indices[i].item(), []).append(i)
    order = sorted(of_name, key=lambda k: -len(of_name[k]))
    if len(order) > _ROWS:
        order = order[: _ROWS // 2] + order[-_ROWS // 2 :]
    rows = [(f'{clipped(names[k], 40)}: {len(of_name[k])}', of_name[k][:_COLUMNS]) for k in order]
    return _draw(
        rows, images, best, labels, f'Images nearest to {len(rows)} of {len(names)} names, and the surest of them', out
    )


def draw_unsure(
    images: list[ImageSource], best: Best, names: list[str], labels: Optional[list[int]], out: Path
) -> Path:
    """Draw the 24 images that a teacher is least sure of.

    Args:
        images (List[ImageSource]): M images.
        best (torch.return_types.max): Scores and indices (M,) of the nearest names.
        names (List[str]): The K names.
        labels (List[int], optional): True names, as in :func:`draw_examples`.
        out (Path): The file to write.

    Returns:
        Path: The same file.
    """
    least = best.values.argsort(stable=True).tolist()[: 4 * _COLUMNS]
    rows = [('', least[k : k + _COLUMNS]) for k in range(0, len(least), _COLUMNS)]
    return _draw(rows, images, best, labels, 'The answers that the teacher is least sure of', out, names)


def _draw(rows: list, images: list, best: Best, labels, title: str, out: Path, names: Optional[list] = None) -> Path:
    with rc_context(STYLE):
        figure = Figure(figsize=(1.75 * _COLUMNS, 2.1 * len(rows) + 0.5), layout='constrained')
        axes = figure.subplots(len(rows), _COLUMNS, squeeze=False)
        for line, (heading, chosen) in zip(axes, rows):
            line[0].set_title(heading, fontsize=10.5, color=INK)
            for axis, i in zip(line, chosen):
                axis.imshow(_small(images[i]))
                score, k = best.values[i].item(), best.indices[i].item()
                axis.set_xlabel(f'{clipped(names[k], 16)} {score:.2f}' if names else f'{score:.2f}', color=FAINT)
                if labels is not None:
                    axis.spines[:].set(visible=True, color=RIGHT if labels[i] == k else WRONG, linewidth=3)
            for axis in line:
                axis.set(xticks=[], yticks=[])
                axis.grid(False)
                if not axis.images:
                    axis.axis('off')
        marks = '; below each image the score of its name'
        marks += ', green: right, red: wrong' if labels is not None else ''
        figure.suptitle(title + marks, x=0.01, ha='left', fontsize=11, color=FAINT)
        return save(figure, out)


def _small(image: ImageSource):
    """Read an image for a sheet: its middle square."""
    array = image.read()
    side = min(array.shape[:2])
    top, left = ((length - side) // 2 for length in array.shape[:2])
    return mmcv.imresize(array[top : top + side, left : left + side], (_SIDE, _SIDE), interpolation='area')[..., ::-1]
