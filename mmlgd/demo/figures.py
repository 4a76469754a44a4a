"""The demo's figures: predictions, how student and teacher see the class names, and dense tasks."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.offsetbox import AnnotationBbox, HPacker, TextArea

from mmlgd.utils.style import FAINT, INK, RIGHT, STUDENT, TEACHER, WRONG

from .images import DEMO_CLASSES


def draw_predictions(file: Path, images, labels, names: list, student: np.ndarray, teacher: np.ndarray):
    """Draw images with the predictions of student and teacher: two of each class, then the student's mistakes.

    Args:
        file (Path): The PNG.
        images (np.ndarray): (N, H, W, 3) bytes, RGB.
        labels (np.ndarray): (N,) true classes.
        names (list): K names, first those of the classes.
        student (np.ndarray): (N, K) scores, rows sum to 1.
        teacher (np.ndarray): (N, K), the teacher's scores.
    """
    columns = labels.max() + 1
    shown = np.concatenate([np.flatnonzero(labels == k)[:2] for k in range(columns)])
    shown = np.concatenate([shown[0::2], shown[1::2]])  # one class per column
    mistakes = np.flatnonzero(student.argmax(1) != labels)
    # The most confident mistakes first.
    mistakes = mistakes[np.argsort(-student[mistakes].max(1))][:columns]
    rows = [shown[:columns], shown[columns:]] + ([mistakes] if len(mistakes) else [])
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(1.5 * columns, 2.05 * len(rows) + 0.5), squeeze=False, gridspec_kw={'wspace': 0.12}
    )
    for axis in axes.flat:
        axis.axis('off')
    for line, row in zip(axes, rows):
        for axis, i in zip(line, row):
            axis.imshow(images[i], interpolation='lanczos')
            _caption(axis, -0.10, 'S', STUDENT, student[i], labels[i], names)
            _caption(axis, -0.25, 'T', TEACHER, teacher[i], labels[i], names)
    share = 100 * np.mean(student.argmax(1) == labels)
    _headline(figure, axes[0, 0], 'What student (S) and teacher (T) see: two unseen images of each class')
    if len(mistakes):
        count = int(np.sum(student.argmax(1) != labels))
        its = f'its {count} mistakes' if count <= columns else f'its most confident of {count} mistakes'
        text = f'The student is right on {share:.1f} % of {len(labels)}; {its}'
        _headline(figure, axes[2, 0], text)
        figure.subplots_adjust(hspace=0.5)
    _save(figure, file)


def draw_similarity(file: Path, names: list, student: np.ndarray, teacher: np.ndarray):
    """Draw the cosine of each true class's mean embedding to each row of the text bank, student beside teacher.

    Args:
        file (Path): The PNG.
        names (list): K names, first those of the C true classes.
        student (np.ndarray): (C, K) cosines, a row for each true class.
        teacher (np.ndarray): (C, K), the teacher's cosines.
    """
    figure, axes = plt.subplots(1, 2, figsize=(12.6, 5.6), sharey=True, layout='constrained')
    low, high = min(student.min(), teacher.min()), max(student.max(), teacher.max())
    image = None
    for axis, values, title in zip(axes, (student, teacher), ('Student, after distillation', 'Teacher')):
        image = axis.imshow(values, cmap='viridis', vmin=low, vmax=high)
        axis.set_xticks(range(len(names)), names, rotation=40, ha='right', rotation_mode='anchor')
        axis.set_yticks(range(len(values)), names[: len(values)])
        axis.set(title=title, xlabel='row of the text bank')
        axis.grid(False)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        for (i, j), value in np.ndenumerate(values):
            color = INK if value > low + 0.62 * (high - low) else 'white'
            axis.text(j, i, f'{round(value, 2) + 0.0:.2f}', ha='center', va='center', fontsize=8.5, color=color)
    axes[0].set_ylabel('true class of the images')
    bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.015)
    bar.set_label('cosine of mean embedding and class name')
    bar.outline.set_visible(False)
    _save(figure, file)


def draw_detections(file: Path, random, lgd):
    """Draw scenes with their true boxes, and the detector's boxes from each start.

    Args:
        file (Path): The PNG.
        random (Outcome): The detector from a random backbone.
        lgd (Outcome): The detector from the student.
    """

    def draw(axis, image, truth, found):
        axis.imshow(image, interpolation='lanczos')
        height, width = image.shape[:2]
        labelled = []
        for (x0, y0, x1, y1), label in zip(*found):
            # A detection is right if a true box of its class has an overlap of at least half.
            right = any(k == label and _overlap((x0, y0, x1, y1), box) >= 0.5 for box, k in zip(*truth))
            color = RIGHT if right else WRONG
            axis.add_patch(plt.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=color, lw=1.8))
            # The label of a second box around the same object goes to its lower corner: it would cover the first one.
            is_covered = any(abs(x0 - x) < width / 6 and abs(y0 - y) < height / 20 for x, y in labelled)
            labelled.append((x0, y0))
            axis.annotate(
                DEMO_CLASSES[label],
                (x0, y1 if is_covered else y0),
                (1, 1),
                textcoords='offset points',
                size=7.5,
                weight='bold',
                color='white',
                va='bottom',
                bbox=dict(fc=color, ec='none', pad=0.8),
                annotation_clip=False,
            )

    figure = _draw_rows(draw, random, _starts(random, lgd, 'box AP'), 'Green: right class, half overlap or more')
    _save(figure, file)


def draw_segmentations(file: Path, random, lgd):
    """Draw scenes with their true masks, and the segmentor's masks from each start.

    Args:
        file (Path): The PNG.
        random (Outcome): The segmentor from a random backbone.
        lgd (Outcome): The segmentor from the student.
    """
    _draw_masks(file, random, _starts(random, lgd, 'mIoU'))


def draw_names(file: Path, teacher, student):
    """Draw scenes, their true masks, and the masks by names of teacher and student.

    Args:
        file (Path): The PNG.
        teacher (Outcome): Segmentation by the teacher's places.
        student (Outcome): Segmentation by the student's places.
    """
    rows = [
        ('scenes', [None] * len(student.images), INK),
        ('true masks', student.truth, INK),
        (f'teacher, by names: mIoU {teacher.metric:.1f} %', teacher.predicted, TEACHER),
        (f'student, by names, without one mask in training: mIoU {student.metric:.1f} %', student.predicted, STUDENT),
    ]
    _draw_masks(file, student, rows)


def _starts(random, lgd, metric):
    """List the rows of a task: truth, from random weights, and from the student."""
    return [
        ('ground truth', random.truth, INK),
        (f'from a random backbone: {metric} {random.metric:.1f} %', random.predicted, INK),
        (f'from the distilled student: {metric} {lgd.metric:.1f} %', lgd.predicted, STUDENT),
    ]


def _draw_masks(file, outcome, rows):
    palette = [*plt.cm.tab10.colors[:7], (0.13, 0.13, 0.2), *plt.cm.tab10.colors[8:]]  # no grey, which is the ground
    colors = 255 * np.array([(1, 1, 1), *palette])

    def draw(axis, image, truth, mask):
        if mask is None:
            axis.imshow(image, interpolation='lanczos')
            return
        grey = image.mean(axis=-1, keepdims=True)
        shade = 0.35 * grey + 0.65 * colors[mask]
        axis.imshow(np.where(mask[..., None] > 0, shade, grey * 0.5 + 127).astype(np.uint8), interpolation='nearest')

    figure = _draw_rows(draw, outcome, rows, 'A colour for each class; grey: the ground')
    handles = [
        plt.Rectangle((0, 0), 1, 1, color=color / 255, label=name) for color, name in zip(colors[1:], DEMO_CLASSES)
    ]
    figure.legend(handles=handles, loc='lower center', ncols=len(handles), fontsize=9.5, handlelength=1)
    _save(figure, file)


def _draw_rows(draw, outcome, rows, key):
    """Draw a scene per column, and a row for each title, answers and colour."""
    columns = len(outcome.images)
    figure, axes = plt.subplots(len(rows), columns, figsize=(2.1 * columns, 2.5 * len(rows)), squeeze=False)
    for line, (title, answers, color) in zip(axes, rows):
        for axis, image, truth, answer in zip(line, outcome.images, outcome.truth, answers):
            axis.axis('off')
            draw(axis, image, truth, answer)
        line[0].annotate(
            title, (0, 1), (0, 14), xycoords='axes fraction', textcoords='offset points', weight='bold', color=color
        )
    line = axes[0, -1]
    line.annotate(key, (1, 1), (0, 14), xycoords='axes fraction', textcoords='offset points', ha='right', color=FAINT)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.94, bottom=0.06, hspace=0.24, wspace=0.06)
    return figure


def _overlap(a, b):
    """Compute the intersection over union of two boxes (x0, y0, x1, y1)."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0, width) * max(0, height)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _caption(axis, y, who, color, scores, label, names):
    best = int(scores.argmax())
    verdict = RIGHT if best == label else WRONG
    parts = [
        TextArea(who, textprops=dict(color=color, size=9, weight='bold')),
        TextArea(names[best], textprops=dict(color=verdict, size=10, weight='bold')),
        TextArea(f'{100 * scores[best]:.0f}%', textprops=dict(color=verdict, size=9)),
    ]
    box = HPacker(children=parts, align='baseline', pad=0, sep=4)
    axis.add_artist(
        AnnotationBbox(
            box, (0.5, y), xycoords='axes fraction', frameon=False, box_alignment=(0.5, 0.5), annotation_clip=False
        )
    )


def _headline(figure, axis, text):
    axis.annotate(
        text, (0, 1), (0, 7), xycoords='axes fraction', textcoords='offset points', va='bottom', weight='bold', size=12
    )


def _save(figure, file: Path):
    figure.savefig(file)
    plt.close(figure)
