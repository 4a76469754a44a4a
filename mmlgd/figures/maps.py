"""A map of images as student and teacher embed them, coloured by the teacher's pseudo class."""

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from mmlgd.errors import ConfigError
from mmlgd.utils.style import CLASSES, FAINT, INK, STUDENT, TEACHER, clipped

from .looking import Seen

OTHERS = '#d5d8dc'
SCATTERED = 0.5  # median distance from the middle, in spreads of the map: above this, a class is not one cluster


def layout(embeddings: Tensor, method: str, seed: int) -> np.ndarray:
    """Lay embeddings out on a plane.

    Args:
        embeddings (Tensor): (N, D), unit rows.
        method (str): ``'tsne'`` or ``'umap'``.
        seed (int): Seed of the layout.

    Returns:
        np.ndarray: (N, 2), centred, of unit spread.

    Raises:
        ImportError: The library of this method is not installed.
        ValueError: There are too few images for a map.
    """
    if len(embeddings) < 10:
        raise ConfigError(f'A map needs at least 10 images, got {len(embeddings)}.')
    if method == 'umap':
        try:
            from umap import UMAP
        except ImportError as error:
            raise ImportError(f'{error}. `pip install umap-learn`, or use method tsne.') from error
        neighbours = min(15, len(embeddings) - 1)
        points = UMAP(n_neighbors=neighbours, metric='cosine', random_state=seed).fit_transform(embeddings.numpy())
    else:
        try:
            from sklearn.manifold import TSNE
        except ImportError as error:
            raise ImportError(f'{error}. t-SNE needs scikit-learn: `pip install "mmlgd[evaluation]"`.') from error
        perplexity = min(30.0, (len(embeddings) - 1) / 3)
        # For unit rows, the Euclidean distance orders neighbours like the cosine.
        points = TSNE(perplexity=perplexity, init='pca', random_state=seed).fit_transform(embeddings.numpy())
    points = points - points.mean(axis=0)
    return points / points.std()


def map_of(seen: Seen, method: str, classes: int, seed: int) -> Figure:
    """Draw both maps.

    Args:
        seen (Seen): Images with embeddings of student and teacher.
        method (str): ``'tsne'`` or ``'umap'``.
        classes (int): Number of the most frequent pseudo classes that get a colour; the others are grey.
        seed (int): Seed of the layouts.

    Returns:
        Figure: Student and teacher side by side.
    """
    pseudo = (seen.teacher @ seen.bank.T).argmax(dim=1).numpy()
    same = (seen.student @ seen.bank.T).argmax(dim=1).numpy() == pseudo
    ids, counts = np.unique(pseudo, return_counts=True)
    shown = ids[np.argsort(-counts, kind='stable')][: min(classes, len(CLASSES))]
    teacher = layout(seen.teacher, method, seed)
    student = layout(seen.student, method, seed)
    from scipy.linalg import orthogonal_procrustes  # installed with the libraries of the layout

    student = student @ orthogonal_procrustes(student, teacher)[0]

    figure = Figure(figsize=(13, 6.4), layout='constrained')
    axes = figure.subplots(1, 2)
    headings = (
        ('Student', f'agrees with the teacher on {100 * same.mean():.1f} % of {len(same)} images', STUDENT),
        ('Teacher', f'{len(ids)} of {len(seen.names)} class names are nearest to an image', TEACHER),
    )
    for axis, points, (who, text, color) in zip(axes, (student, teacher), headings):
        grey = ~np.isin(pseudo, shown)
        size = np.clip(12000 / len(points), 7, 32)
        axis.scatter(*points[grey].T, s=size / 2, color=OTHERS, lw=0)
        for k, hue in zip(shown, CLASSES):
            rows = pseudo == k
            rings = np.where(same[rows] | (who == 'Teacher'), 0, 0.9)
            axis.scatter(*points[rows].T, s=size, color=hue, edgecolors=INK, linewidths=rings, alpha=0.85)
        _name_clusters(axis, points, pseudo, {k: (clipped(seen.names[k]), hue) for k, hue in zip(shown, CLASSES)})
        axis.set(xticks=[], yticks=[], aspect='equal')
        axis.grid(False)
        axis.spines[:].set_visible(False)
        axis.set_title(who, color=color, fontsize=15, pad=24)
        axis.text(0, 1.015, text, transform=axis.transAxes, color=INK, va='bottom')
    grey_note = f'; grey: {len(ids) - len(shown)} other classes' if len(ids) > len(shown) else ''
    names = dict(tsne='t-SNE', umap='UMAP')
    note = (
        f"{names[method]}, each of its own. Colour: the teacher's nearest class name{grey_note}. Dark ring: the "
        f'student says another.'
    )
    handles = [
        Line2D([], [], color=hue, marker='o', ls='', ms=7, label=clipped(seen.names[k]))
        for k, hue in zip(shown, CLASSES)
    ]
    legend = figure.legend(
        handles=handles, loc='outside lower center', ncols=6, fontsize=10.5, title=note, title_fontsize=10.5
    )
    legend.get_title().set_color(FAINT)
    _hide_collisions(figure, axes)
    return figure


def _name_clusters(axis, points: np.ndarray, pseudo: np.ndarray, named: dict[int, tuple[str, str]]) -> None:
    """Write the names of clustered classes into the map; the legend lists all."""
    for k, (name, hue) in named.items():
        own = points[pseudo == k]
        middle = np.median(own, axis=0)
        if len(own) > 1 and np.median(np.linalg.norm(own - middle, axis=1)) > SCATTERED:
            continue
        # Above most of the class's images, so that the text hides few of them.
        label = axis.annotate(
            name,
            (middle[0], np.percentile(own[:, 1], 80)),
            (0, 7),
            textcoords='offset points',
            color=hue,
            ha='center',
            weight='bold',
            size=12,
        )
        label.set_path_effects([effects.withStroke(linewidth=3.5, foreground='white')])


def _hide_collisions(figure, axes) -> None:
    figure.canvas.draw()  # the text boxes are known only after drawing
    for axis in axes:
        kept = []
        for label in axis.texts:
            if label.get_weight() != 'bold':
                continue
            box = label.get_window_extent()
            label.set_visible(not any(box.overlaps(other) for other in kept))
            kept += [box] if label.get_visible() else []
