"""Nearest neighbours and linear probes against what can be counted by hand."""

import builtins
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlgd.evaluation import choose_c, knn_accuracy, leave_one_out_accuracy, linear_accuracy, top1, unit_rows
from mmlgd.evaluation.probes import CS, DEFAULT_C, weighted_vote


def clusters(n, noise, seed=0, classes=4, dim=8):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    return torch.eye(dim)[labels] + noise * torch.randn(n, dim, generator=generator), labels


def by_hand(features, labels, k, temperature):
    """Leave one out, one image at a time."""
    features, right = unit_rows(features).double(), 0
    for i in range(len(features)):
        others = [j for j in range(len(features)) if j != i]
        cosine = features[others] @ features[i]
        best = cosine.argsort(descending=True)[:k]
        votes = torch.zeros(int(labels.max()) + 1, dtype=torch.double)
        for j in best:
            votes[labels[others[j]]] += (cosine[j] / temperature).exp()
        right += int(votes.argmax() == labels[i])
    return 100 * right / len(features)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 24), k=st.integers(1, 8))
def test_leave_one_out_is_what_it_says(seed, n, k):
    features, labels = clusters(n, noise=0.7, seed=seed)
    assert leave_one_out_accuracy(features, labels, k) == pytest.approx(by_hand(features, labels, k, 0.07))


def test_an_image_is_no_neighbour_of_itself():
    features, labels = torch.eye(4), torch.arange(4)
    assert leave_one_out_accuracy(features, labels, k=1) == 0
    assert knn_accuracy(features, labels, features, labels, k=1) == 100
    with pytest.raises(ValueError, match='at least two images'):
        leave_one_out_accuracy(features[:1], labels[:1])


def test_images_beyond_one_chunk_count(monkeypatch):
    features, labels = clusters(23, noise=0.6)
    whole = leave_one_out_accuracy(features, labels, k=3), knn_accuracy(features, labels, features, labels, k=3)
    monkeypatch.setattr('mmlgd.evaluation.probes._ROWS', 5)
    assert whole == (leave_one_out_accuracy(features, labels, k=3), knn_accuracy(features, labels, features, labels, 3))


def voters():
    memory, memory_labels = clusters(40, noise=0.8, seed=1)
    queries, labels = clusters(30, noise=0.8, seed=2)
    return unit_rows(memory), memory_labels, unit_rows(queries), labels


@pytest.mark.parametrize('k', [1, 7, 40])
def test_votes_are_those_of_a_loop(k):
    memory, memory_labels, queries, labels = voters()
    scores = weighted_vote(queries @ memory.T, memory_labels, 4, k, 0.07)
    for query, score in zip(queries, scores):
        nearest = sorted((float(query @ row), int(label)) for row, label in zip(memory, memory_labels))[-k:]
        votes = [sum(math.exp(cosine / 0.07) for cosine, label in nearest if label == c) for c in range(4)]
        torch.testing.assert_close(score, torch.tensor(votes) / sum(votes))
    assert knn_accuracy(memory, memory_labels, queries, labels, k) == top1(scores, labels)


def test_votes_are_those_of_scikit_learn():
    neighbors = pytest.importorskip('sklearn.neighbors')
    memory, memory_labels, queries, _ = voters()
    reference = neighbors.KNeighborsClassifier(9, metric='cosine', weights=lambda d: np.exp((1 - d) / 0.07))
    reference.fit(memory.numpy(), memory_labels.numpy())
    votes = weighted_vote(queries @ memory.T, memory_labels, 4, 9, 0.07)
    np.testing.assert_allclose(votes.numpy(), reference.predict_proba(queries.numpy()), atol=1e-5)


def test_a_linear_probe_finds_what_is_linear():
    pytest.importorskip('sklearn')
    train, train_labels = clusters(80, noise=0.05)
    val, labels = clusters(40, noise=0.05, seed=3)
    assert linear_accuracy(train, train_labels, val, labels) == 100
    # Standardised: the scale of a feature does not matter.
    scale = torch.logspace(-3, 3, 8)
    assert linear_accuracy(train * scale, train_labels, val * scale, labels) == 100
    shuffled = train_labels[torch.randperm(80, generator=torch.Generator().manual_seed(0))]
    assert linear_accuracy(train, shuffled, val, labels) < 60
    with pytest.raises(ValueError, match='all 80 training images have label 0'):
        linear_accuracy(train, torch.zeros(80), val, labels)


@pytest.mark.filterwarnings('error')
def test_one_label_a_class_is_enough():
    pytest.importorskip('sklearn')
    val, labels = clusters(40, noise=0.02, seed=3)
    assert linear_accuracy(torch.eye(8)[:4], torch.arange(4), val, labels) == 100


def best_by_hand(features, labels, folds):
    """Mean accuracy of each C over the folds, one fit at a time."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    means = []
    for c in CS:
        right = []
        for seen, unseen in StratifiedKFold(folds, shuffle=True, random_state=0).split(features, labels):
            mean, std = features[seen].mean(axis=0), features[seen].std(axis=0)
            fit = LogisticRegression(C=c, max_iter=1000).fit((features[seen] - mean) / std, labels[seen])
            right.append(fit.score((features[unseen] - mean) / std, labels[unseen]))
        means.append(sum(right) / folds)
    return CS[means.index(max(means))]  # of equals the strongest penalty


@pytest.mark.filterwarnings('error')
def test_c_is_chosen_by_cross_validation_on_the_labelled_images_alone():
    pytest.importorskip('sklearn')
    chosen = []
    for noise, n, dim in ((0.9, 120, 40), (0.05, 60, 8), (0.5, 24, 40)):
        features, labels = clusters(n, noise, seed=5, dim=dim)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
        chosen.append(choose_c(features, labels))
        assert chosen[-1] == best_by_hand(features[order].numpy(), labels[order].numpy(), folds=5)
        val, val_labels = clusters(40, noise, seed=6, dim=dim)
        assert linear_accuracy(features, labels, val, val_labels) == linear_accuracy(
            features, labels, val, val_labels, c=chosen[-1]
        )
    assert len(set(chosen)) > 1


@pytest.mark.filterwarnings('error')
def test_classes_with_one_image_have_no_part_in_the_choice(monkeypatch):
    pytest.importorskip('sklearn')
    features, labels = clusters(40, noise=0.9, seed=5)
    alone = torch.cat([labels, torch.tensor([4, 5])])
    rows = torch.cat([features, torch.full((2, 8), 100.0)])
    monkeypatch.setattr('mmlgd.evaluation.probes._FOLDS', 2)
    assert choose_c(rows, alone) in CS
    assert choose_c(torch.eye(8)[:4], torch.arange(4)) == DEFAULT_C
    assert choose_c(torch.eye(8)[:5], torch.tensor([0, 0, 1, 2, 3])) == DEFAULT_C
    monkeypatch.setattr('mmlgd.evaluation.probes._CHOICE_ROWS', 20)  # of many a part is drawn
    assert choose_c(features, labels) in CS


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith('sklearn'):
            raise ImportError(f'No module named {name!r}')
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', missing)
    with pytest.raises(ImportError, match=r'mmlgd\[evaluation\]'):
        linear_accuracy(*clusters(8, 0.1), *clusters(8, 0.1))
