"""What a student answers for images of the user's own."""

from collections import Counter
from pathlib import Path
from typing import Optional

import torch
from PIL import Image
from torch import Tensor

from mmlgd.errors import MMLGDError, sentence
from mmlgd.figures.looking import Seen, look
from mmlgd.models.zero_shot import zero_shot_scores
from mmlgd.run.watched import class_folders, labels_of
from mmlgd.student import Student
from mmlgd.student.overlays import blended, legend, palette
from mmlgd.student.segment import Segmentation
from mmlgd.text import phrasings
from mmlgd.utils.spread import spread
from mmlgd.utils.style import clipped

from .blocks import Picture, Pictures, Table, Text
from .charts import draw_confusions
from .pictures import jpeg
from .training import Training

_SHOWN, _TOP, _OVERLAYS = 6, 3, 4
_SMALL, _WIDE = 260, 900  # pixels in the page
_CONFUSED = 12  # pairs in the table
_NAMED = 40  # names that fit on an axis
_LEGEND = 8  # names below a segmentation
_FOLDERS = 2  # class folders whose names are said


def show_images(run: Training, images: Path, limit: int) -> list:
    """Show what a student answers for images: the surest and the least sure, confusions, segmentation.

    Args:
        run (Training): A run whose checkpoint has names.
        images (Path): Folder of images.
        limit (int): Maximum number of images, evenly spread over all.

    Returns:
        list: Blocks.

    Raises:
        MMLGDError: The images cannot be read.
    """
    folders = class_folders(images, run.text['class_names'])  # an error before the work
    seen = look(run.saved, str(images), limit, False)
    labels = labels_of([one.name for one in seen.images], folders) if folders else None
    student = Student(run.saved)
    scores = zero_shot_scores(seen.student, seen.bank, student.temperature)  # (N, K)
    names = [phrasings(name)[0] for name in seen.names]
    best = scores.max(dim=1)
    order = best.values.argsort(descending=True, stable=True).tolist()
    shown = min(_SHOWN, max(1, len(order) // 2))
    return [
        Text(_said(len(seen.images), names, best.indices, labels, folders)),
        _pictures('Surest answers', seen, names, scores, order[:shown], labels),
        _pictures('Least sure answers', seen, names, scores, order[::-1][:shown], labels),
        *([] if labels is None else _confusions(names, best.indices.tolist(), labels)),
        *_overlays(run, student, seen),
    ]


def _said(
    count: int, names: list[str], answers: Tensor, labels: Optional[list[int]], folders: Optional[list[str]]
) -> str:
    k, often = Counter(answers.tolist()).most_common(1)[0]
    text = (
        f'{count} images, evenly spread over the folder. The most frequent answer is {names[k]}, for {often} of them.'
    )
    if labels is None:
        return f'{text} Which are right is not known: images with labels lie in a class folder for each name.'
    right = 100 * (answers == torch.tensor(labels)).double().mean().item()
    known = ', '.join(f'{folder} is {name}' for folder, name in zip(folders[:_FOLDERS], names))
    known += ', and so on' if len(names) > _FOLDERS else ''
    return f'{text} The nearest of {len(names)} names is right for {right:.0f} % of them. By its class folder: {known}.'


def _pictures(title: str, seen: Seen, names: list[str], scores: Tensor, rows: list[int], labels) -> Pictures:
    made = []
    for i in rows:
        values, nearest = scores[i].topk(min(_TOP, len(names)))
        found = list(zip(nearest.tolist(), values.tolist()))
        truth = None
        if labels is not None:
            is_right = found[0][0] == labels[i]
            truth = is_right, 'right' if is_right else f'it is {clipped(names[labels[i]])}'
        source = seen.images[i]
        picture = Image.fromarray(source.read()[..., ::-1].copy())
        lines = [f'{clipped(names[k])} {value:.2f}' for k, value in found]
        made.append(Picture(jpeg(picture, _SMALL), clipped(str(source.name)), lines, truth))
    return Pictures(title, made)


def _confusions(names: list[str], answers: list[int], labels: list[int]) -> list:
    counts = [[0] * len(names) for _ in names]
    for label, answer in zip(labels, answers):
        counts[label][answer] += 1
    pairs = Counter((true, said) for true, said in zip(labels, answers) if true != said).most_common(_CONFUSED)
    if not pairs:
        return [Text('No two names are confused: every answer is right.')]
    rows = [[names[i], names[j], str(n), f'{100 * n / sum(counts[i]):.0f} %'] for (i, j), n in pairs]
    table = Table(['name', 'answer', 'images', 'of the name'], rows, 'The most frequent wrong answers.')
    drawn = [draw_confusions('Answers by name', counts, names)] if len(names) <= _NAMED else []
    return [*drawn, table]


def _overlays(run: Training, student: Student, seen: Seen) -> list:
    """Name the pixels of a few images, if the student was trained on places."""
    if not run.loss.needs_places:
        return [
            Text(
                'No segmentation by names: this student was trained on whole images. `mmlgd pretrain --dense` trains '
                'its places, too.'
            )
        ]
    made = []
    try:
        segmenter = student.segmenter()
        for source in spread(seen.images, _OVERLAYS):
            pixels = source.read()
            found = segmenter.segment(pixels)
            drawn = jpeg(blended(pixels, found), _WIDE)
            made.append(Picture(drawn, clipped(str(source.name)), legend=_legend(found)))
    except MMLGDError as error:
        return [Text(f'No segmentation by names: {sentence(error)}')]
    return [Pictures('Segmentation by names, without a label', made, wide=True)]


def _legend(found: Segmentation) -> list[tuple[str, str]]:
    colors = palette(len(found.names))
    return [
        ('' if k is None else '#{:02x}{:02x}{:02x}'.format(*colors[k]), f'{name} {share}')
        for k, name, share in legend(found, _LEGEND)
    ]
