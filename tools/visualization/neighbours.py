r"""Draw pictures with the class names, and the prototypes, that lie nearest to them in the joint space.

    python tools/visualization/neighbours.py work_dirs/RUN/epoch_200.pth /my/pictures --out neighbours.png

Only the student is asked. Class names are rows of the textual bank; prototypes are rows of the visual bank that some
picture has visited, the mean of what the teacher calls by that name. `--names` changes the class names alone.
"""

from pathlib import Path
from typing import Optional

import matplotlib.pyplot as plt
from looking import Seen, figure_parser, look, save
from torch import Tensor

from mmlgd.checkpoints import read_checkpoint, state_dict_of
from mmlgd.cli.tool import run_tool
from mmlgd.evaluation import unit_rows
from mmlgd.models.banks import read_text_state, read_visual_state
from mmlgd.models.base_bank import PROTOTYPES, saved_role
from mmlgd.utils.files import require_writable
from mmlgd.utils.style import FAINT, INK, STUDENT, TEXT, clipped
from mmlgd.utils.validation import whole

COLUMNS = 2  # pictures side by side


def read_prototypes(checkpoint: str) -> tuple[list[str], Tensor]:
    """Read the visual bank's visited rows.

    Args:
        checkpoint (str): Of LGD training.

    Returns:
        Tuple[List[str], Tensor]: V names and (V, D) unit rows; none if the checkpoint has no such bank, or a queue of
        images in its place.
    """
    state = state_dict_of(read_checkpoint(checkpoint))
    if saved_role(state, 'visual_bank') != PROTOTYPES:
        return [], Tensor()
    bank, visited = read_visual_state(state, checkpoint)
    names = read_text_state(state, checkpoint)['class_names']
    rows = unit_rows(bank[visited])
    return [name for name, there in zip(names, visited.tolist()) if there], rows


def draw(seen: Seen, prototypes: tuple[list[str], Tensor], topk: int, file: Path) -> None:
    """Draw each picture with two lists of bars.

    Args:
        seen (Seen): Pictures of the student.
        prototypes (Tuple[List[str], Tensor]): Of :func:`read_prototypes`.
        topk (int): Bars of each list.
        file (Path): The PNG.
    """
    lists = [('class names', seen.names, seen.bank, TEXT)]
    if prototypes[0]:
        lists.append(('prototypes', *prototypes, STUDENT))
    nearest = [_nearest(seen.student, names, rows, topk) for _, names, rows, _ in lists]
    end = 1.15 * max(value for found in nearest for one in found for _, value in one)
    rows = -(-len(seen.pictures) // COLUMNS)
    per_picture = 1 + len(lists)
    figure, axes = plt.subplots(
        rows,
        COLUMNS * per_picture,
        figsize=(COLUMNS * (1.75 + 2.5 * len(lists)), 1.95 * rows + 0.5),
        squeeze=False,
        gridspec_kw=dict(width_ratios=[1, *[1.45] * len(lists)] * COLUMNS),
        layout='constrained',
    )
    for axis in axes.flat:
        axis.axis('off')
    for i, picture in enumerate(seen.pictures):
        line, start = divmod(i, COLUMNS)
        cells = axes[line, start * per_picture : (start + 1) * per_picture]
        cells[0].imshow(picture.read()[..., ::-1], interpolation='lanczos')
        cells[0].set_title(
            clipped(Path(str(picture)).name, 22), fontsize=8.5, weight='normal', color=FAINT, loc='center'
        )
        for axis, found, (title, _, _, color) in zip(cells[1:], nearest, lists):
            if line == 0:
                axis.set_title(title, fontsize=10.5, color=color)
            for place, (name, value) in enumerate(found[i]):
                best = place == 0
                axis.barh(place, max(0.0, value), color=color, alpha=0.55 if best else 0.22, height=0.82)
                label = f'{clipped(name, 24)}  {round(value, 2) + 0.0:.2f}'  # no minus before a zero
                weight = 'bold' if best else 'normal'
                axis.text(0.02 * end, place, label, va='center', size=9, weight=weight, color=INK)
            axis.set(xlim=(0, end), ylim=(topk - 0.4, -0.6))
    figure.supxlabel('cosine of the student', fontsize=10, color=FAINT)
    save(figure, file)


def _nearest(embeddings: Tensor, names: list[str], rows: Tensor, topk: int) -> list[list[tuple[str, float]]]:
    values, indices = (embeddings @ rows.T).topk(min(topk, len(names)), dim=1)
    return [[(names[k], v) for k, v in zip(*pair)] for pair in zip(indices.tolist(), values.tolist())]


def main(argv: Optional[list[str]] = None) -> None:
    """Embed and draw."""
    parser = figure_parser(__doc__)
    parser.add_argument(
        '--max-pictures', type=whole('images', 1, 10**4), default=12, help='evenly spread; default: %(default)s'
    )
    parser.add_argument(
        '--topk', type=whole('neighbours', 1, 100), default=4, help='nearest of each kind; default: %(default)s'
    )
    parser.add_argument('--out', type=Path, default=Path('neighbours.png'))
    args = parser.parse_args(argv)
    require_writable(args.out.parent)
    draw(look(args, args.max_pictures, with_teacher=False), read_prototypes(args.checkpoint), args.topk, args.out)


if __name__ == '__main__':
    run_tool(main)
