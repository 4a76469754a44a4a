"""Nearest neighbours and linear probes against what can be counted by hand."""

import builtins

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlgd import KNNClassifier
from mmlgd.evaluation import knn_accuracy, leave_one_out_accuracy, linear_accuracy, top1, unit_rows


def clusters(n, noise, seed=0, classes=4, dim=8):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    return torch.eye(dim)[labels] + noise * torch.randn(n, dim, generator=generator), labels


def by_hand(features, labels, k, temperature):
    """Leave one out, one picture at a time."""
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


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 24), k=st.integers(1, 8))
def test_leave_one_out_is_what_it_says(seed, n, k):
    features, labels = clusters(n, noise=0.7, seed=seed)
    assert leave_one_out_accuracy(features, labels, k) == pytest.approx(by_hand(features, labels, k, 0.07))


def test_a_picture_is_no_neighbour_of_itself():
    features, labels = torch.eye(4), torch.arange(4)
    assert leave_one_out_accuracy(features, labels, k=1) == 0
    assert knn_accuracy(features, labels, features, labels, k=1) == 100
    with pytest.raises(ValueError, match='at least two pictures'):
        leave_one_out_accuracy(features[:1], labels[:1])


def test_pictures_beyond_one_chunk_count(monkeypatch):
    features, labels = clusters(23, noise=0.6)
    whole = leave_one_out_accuracy(features, labels, k=3), knn_accuracy(features, labels, features, labels, k=3)
    monkeypatch.setattr('mmlgd.evaluation.probes._ROWS', 5)
    assert whole == (leave_one_out_accuracy(features, labels, k=3), knn_accuracy(features, labels, features, labels, 3))


def test_knn_votes_as_the_classifier_does():
    memory, memory_labels = clusters(40, noise=0.8, seed=1)
    queries, labels = clusters(30, noise=0.8, seed=2)
    model = KNNClassifier(dict(type='mmpretrain.ResNet', depth=18), memory=dict(), num_classes=4, k=7)
    model.remember(unit_rows(memory), memory_labels)
    assert knn_accuracy(memory, memory_labels, queries, labels, k=7) == top1(model.vote(unit_rows(queries)), labels)


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
    with pytest.raises(ValueError, match='all 80 training pictures have label 0'):
        linear_accuracy(train, torch.zeros(80), val, labels)


@pytest.mark.filterwarnings('error')
def test_one_label_a_class_is_enough():
    pytest.importorskip('sklearn')
    val, labels = clusters(40, noise=0.02, seed=3)
    assert linear_accuracy(torch.eye(8)[:4], torch.arange(4), val, labels) == 100


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith('sklearn'):
            raise ImportError(f'No module named {name!r}')
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', missing)
    with pytest.raises(ImportError, match=r'mmlgd\[evaluation\]'):
        linear_accuracy(*clusters(8, 0.1), *clusters(8, 0.1))
