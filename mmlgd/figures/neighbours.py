"""A figure of images with their nearest class names and prototypes in the joint space."""

from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor

from mmlgd.checkpoints import read_checkpoint, state_dict_of
from mmlgd.evaluation import unit_rows
from mmlgd.models.banks import read_text_state, read_visual_state
from mmlgd.models.base_bank import PROTOTYPES, saved_role
from mmlgd.utils.style import FAINT, INK, STUDENT, TEXT, clipped

from .looking import Seen

COLUMNS = 2  # images side by side


def read_prototypes(checkpoint: str) -> tuple[list[str], Tensor]:
    """Read the visual bank's visited rows.

    Args:
        checkpoint (str): A checkpoint of LGD training.

    Returns:
        Tuple[List[str], Tensor]: V names and (V, D) unit rows; empty if the checkpoint has no visual bank or a queue of
        images.
    """
    state = state_dict_of(read_checkpoint(checkpoint))
    if saved_role(state, 'visual_bank') != PROTOTYPES:
        return [], Tensor()
    bank, visited = read_visual_state(state, checkpoint)
    names = read_text_state(state, checkpoint)['class_names']
    rows = unit_rows(bank[visited])
    return [name for name, there in zip(names, visited.tolist()) if there], rows


def neighbours_of(seen: Seen, prototypes: tuple[list[str], Tensor], topk: int) -> Figure:
    """Draw each image with two bar charts.

    Args:
        seen (Seen): Images with embeddings of the student, and class names with theirs.
        prototypes (Tuple[List[str], Tensor]): From :func:`read_prototypes`; without any, there is one chart.
        topk (int): Number of bars in a chart.

    Returns:
        Figure: The images in rows.
    """
    lists = [('class names', seen.names, seen.bank, TEXT)]
    if prototypes[0]:
        lists.append(('prototypes', *prototypes, STUDENT))
    nearest = [_nearest(seen.student, names, rows, topk) for _, names, rows, _ in lists]
    end = 1.15 * max(value for found in nearest for one in found for _, value in one)
    rows = -(-len(seen.images) // COLUMNS)
    per_image = 1 + len(lists)
    figure = Figure(figsize=(COLUMNS * (1.75 + 2.5 * len(lists)), 1.95 * rows + 0.5), layout='constrained')
    axes = figure.subplots(
        rows,
        COLUMNS * per_image,
        squeeze=False,
        gridspec_kw=dict(width_ratios=[1, *[1.45] * len(lists)] * COLUMNS),
    )
    for axis in axes.flat:
        axis.axis('off')
    for i, image in enumerate(seen.images):
        line, start = divmod(i, COLUMNS)
        cells = axes[line, start * per_image : (start + 1) * per_image]
        cells[0].imshow(image.read()[..., ::-1], interpolation='lanczos')
        cells[0].set_title(clipped(Path(str(image)).name, 22), fontsize=8.5, weight='normal', color=FAINT, loc='center')
        for axis, found, (title, _, _, color) in zip(cells[1:], nearest, lists):
            if line == 0:
                axis.set_title(title, fontsize=10.5, color=color)
            for place, (name, value) in enumerate(found[i]):
                best = place == 0
                axis.barh(place, max(0.0, value), color=color, alpha=0.55 if best else 0.22, height=0.82)
                label = f'{clipped(name, 24)}  {round(value, 2) + 0.0:.2f}'  # avoids -0.00
                weight = 'bold' if best else 'normal'
                axis.text(0.02 * end, place, label, va='center', size=9, weight=weight, color=INK)
            axis.set(xlim=(0, end), ylim=(topk - 0.4, -0.6))
    figure.supxlabel('cosine of the student', fontsize=10, color=FAINT)
    return figure


def _nearest(embeddings: Tensor, names: list[str], rows: Tensor, topk: int) -> list[list[tuple[str, float]]]:
    values, indices = (embeddings @ rows.T).topk(min(topk, len(names)), dim=1)
    return [[(names[k], v) for k, v in zip(*pair)] for pair in zip(indices.tolist(), values.tolist())]
