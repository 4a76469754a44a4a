"""The order of rows in a matrix of similarities."""

import numpy as np

_FEW = 1500  # rows: the best order of the branches takes seconds for so many, and many minutes for twice as many


def alike_together(rows: np.ndarray) -> np.ndarray:
    """Order rows so that similar ones are neighbours: the leaves of an average-linkage tree.

    Args:
        rows (np.ndarray): (N, D), not zero.

    Returns:
        np.ndarray: (N,) indices.

    Raises:
        ImportError: scipy is not installed.

    Examples:
        >>> sorted(alike_together(np.array([[1, 0], [0, 1], [1, 0.1]])).tolist())
        [0, 1, 2]
    """
    try:
        from scipy.cluster.hierarchy import leaves_list, linkage
    except ImportError as error:
        raise ImportError(f'{error}. Ordering rows needs scipy: `pip install "mmlgd[evaluation]"`.') from error

    if len(rows) < 3:
        return np.arange(len(rows))
    tree = linkage(rows.astype(np.float64), method='average', metric='cosine', optimal_ordering=len(rows) <= _FEW)
    return leaves_list(tree)
