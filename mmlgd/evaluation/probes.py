"""Probes of frozen features: nearest neighbours and a linear classifier, on tensors."""

import warnings
from typing import Optional

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.device import get_device
from torch import Tensor

from mmlgd.errors import ConfigError

CS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # candidates for the inverse penalty of a linear probe
DEFAULT_C = 1e-2  # if cross-validation is impossible
_FOLDS = 5
_CHOICE_ROWS = 5000
_ROWS = 1024  # queries at a time: about 200 MB with 50,000 neighbours


def top1(scores: Tensor, labels: Tensor) -> float:
    """Compute the top-1 accuracy.

    Args:
        scores (Tensor): (N, K).
        labels (Tensor): (N,), integers below K.

    Returns:
        float: In per cent.

    Examples:
        >>> top1(torch.eye(4), torch.tensor([0, 1, 2, 2]))
        75.0
    """
    return 100 * (scores.argmax(dim=1) == labels).double().mean().item()


def unit_rows(features: Tensor) -> Tensor:
    """Scale rows to unit length, in float32.

    Args:
        features (Tensor): (N, C).

    Returns:
        Tensor: (N, C), rows of unit length.
    """
    return F.normalize(features.float(), dim=-1)


def weighted_vote(cosine: Tensor, labels: Tensor, num_classes: int, k: int, temperature: float) -> Tensor:
    r"""Let the k nearest of M labelled images vote, each with the weight :math:`\exp(\cos / \tau)`.

    Args:
        cosine (Tensor): (N, M) similarities to the labelled images.
        labels (Tensor): (M,), integers below ``num_classes``.
        num_classes (int): Number of classes.
        k (int): Number of neighbours, at most M.
        temperature (float): :math:`\tau` > 0.

    Returns:
        Tensor: (N, ``num_classes``), rows that sum to 1.

    Examples:
        >>> weighted_vote(torch.tensor([[0.9, 0.1, 0.9]]), torch.tensor([0, 1, 1]), 2, k=2, temperature=0.07)
        tensor([[0.5000, 0.5000]])
    """
    cosine, neighbours = cosine.topk(k, dim=1)  # (N, k)
    weights = (cosine / temperature).softmax(dim=1)  # exp(cos / τ), made to sum to 1
    return weights.new_zeros(len(cosine), num_classes).scatter_add_(1, labels[neighbours], weights)


def knn_accuracy(
    memory: Tensor, memory_labels: Tensor, queries: Tensor, labels: Tensor, k: int = 20, temperature: float = 0.07
) -> float:
    """Compute the top-1 accuracy of the nearest neighbours' :func:`weighted_vote` (Wu et al., arXiv 1805.01978).

    Args:
        memory (Tensor): (M, C) features of labelled images.
        memory_labels (Tensor): (M,), integers.
        queries (Tensor): (N, C) features of the images to classify.
        labels (Tensor): (N,), integers.
        k (int): Number of neighbours; with fewer than k images, all are used. Defaults to 20, as in the literature.
        temperature (float): Temperature τ > 0 of the vote. Defaults to 0.07, likewise.

    Returns:
        float: In per cent.

    Examples:
        >>> x = torch.tensor([[1.0, 0], [0, 1]])
        >>> knn_accuracy(x, torch.tensor([0, 1]), x, torch.tensor([0, 1]), k=1)
        100.0
    """
    device = get_device()
    memory, memory_labels = unit_rows(memory).to(device), memory_labels.to(device)
    num_classes = int(max(memory_labels.max(), labels.max())) + 1
    right = 0
    for rows, truth in zip(unit_rows(queries).split(_ROWS), labels.split(_ROWS)):
        cosine = rows.to(device) @ memory.T  # (n, M)
        scores = weighted_vote(cosine, memory_labels, num_classes, min(k, len(memory)), temperature)
        right += (scores.argmax(dim=1).cpu() == truth.cpu()).sum().item()
    return 100 * right / len(labels)


def leave_one_out_accuracy(features: Tensor, labels: Tensor, k: int = 20, temperature: float = 0.07) -> float:
    """Compute the top-1 accuracy of each image's nearest neighbours among all *other* images of one labelled set.

    It needs only the evaluation set, and compares epochs of one run. It is not the k-NN accuracy of the
    literature, whose neighbours are the training images.

    Args:
        features (Tensor): (N, C), N > 1.
        labels (Tensor): (N,), integers.
        k (int): Number of neighbours; with fewer than k others, all are used. Defaults to 20.
        temperature (float): Temperature τ > 0 of the vote. Defaults to 0.07.

    Returns:
        float: In per cent.

    Raises:
        ValueError: There is no other image.

    Examples:
        >>> x = torch.tensor([[1.0, 0], [1, 0.1], [0, 1]])
        >>> round(leave_one_out_accuracy(x, torch.tensor([0, 0, 1]), k=1), 1)
        66.7
    """
    if len(features) < 2:
        raise ConfigError(f'Leave-one-out accuracy needs at least two images, got {len(features)}.')
    device = get_device()
    features, labels = unit_rows(features).to(device), labels.to(device)
    k, num_classes = min(k, len(features) - 1), int(labels.max()) + 1
    right = 0
    for start in range(0, len(features), _ROWS):
        cosine = features[start : start + _ROWS] @ features.T  # (n, N)
        own = torch.arange(len(cosine), device=device)
        cosine[own, start + own] = -torch.inf  # an image is not its own neighbour
        scores = weighted_vote(cosine, labels, num_classes, k, temperature)
        right += (scores.argmax(dim=1) == labels[start : start + _ROWS]).sum().item()
    return 100 * right / len(features)


def linear_accuracy(
    train: Tensor, train_labels: Tensor, val: Tensor, labels: Tensor, c: Optional[float] = None
) -> float:
    """Compute the top-1 accuracy of a linear probe: scikit-learn's logistic regression on standardised features.

    Args:
        train (Tensor): (M, C) features of labelled images.
        train_labels (Tensor): (M,), integers, at least two different ones.
        val (Tensor): (N, C) features of the images to classify.
        labels (Tensor): (N,), integers.
        c (float, optional): Inverse strength of the L2 penalty, > 0. Defaults to None: :func:`choose_c` on the
            labelled images.

    Returns:
        float: In per cent.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: All training images have the same label.
    """
    c = choose_c(train, train_labels) if c is None else c
    x, y, x_val, y_val = (np.asarray(v.cpu()) for v in (train.float(), train_labels, val.float(), labels))
    if len(np.unique(y)) < 2:
        raise ConfigError(f'A linear probe needs two classes or more; all {len(y)} training images have label {y[0]}.')
    with warnings.catch_warnings():
        # A probe with one image per class is intended, too.
        warnings.filterwarnings('ignore', message='The number of unique classes is greater than 50%')
        return 100 * _probe(C=c).fit(x, y).score(x_val, y_val)


def choose_c(features: Tensor, labels: Tensor) -> float:
    """Choose the penalty of a linear probe by cross-validation on its labelled images alone.

    The choice is the best of :data:`CS` in up to five stratified folds; among equals, the strongest penalty. Of more
    than 5,000 images, 5,000 are drawn. A class with a single image cannot be in two folds, so it is ignored. If fewer
    than two classes remain, C is :data:`DEFAULT_C`.

    Args:
        features (Tensor): (M, C) features of labelled images.
        labels (Tensor): (M,), integers.

    Returns:
        float: Inverse strength of the L2 penalty.

    Raises:
        ImportError: scikit-learn is not installed.

    Examples:
        >>> choose_c(torch.eye(4), torch.arange(4))  # one image a class
        0.01
    """
    probe = _probe()
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    drawn = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:_CHOICE_ROWS]
    x, y = np.asarray(features.float().cpu()[drawn]), np.asarray(labels.cpu()[drawn])
    _, which, counts = np.unique(y, return_inverse=True, return_counts=True)
    if (counts > 1).sum() < 2:
        return DEFAULT_C
    kept = counts[which] > 1
    folds = StratifiedKFold(min(_FOLDS, counts[counts > 1].min()), shuffle=True, random_state=0)
    search = GridSearchCV(probe, {'logisticregression__C': CS}, cv=folds, refit=False)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='The number of unique classes is greater than 50%')
        return float(search.fit(x[kept], y[kept]).best_params_['logisticregression__C'])


def _probe(**options):
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise ImportError(f'{error}. A linear probe needs scikit-learn: `pip install "mmlgd[evaluation]"`.') from error
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, **options))
