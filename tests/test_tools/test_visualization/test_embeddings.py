"""Maps of student and teacher: their layout, and what is drawn with what."""

import builtins

import numpy as np
import pytest
import torch
from PIL import Image

from mmlgd.evaluation import unit_rows

pytest.importorskip('sklearn')


def test_maps_of_student_and_teacher(load, lgd_checkpoint, pictures, tiny_clip, tmp_path):
    out = tmp_path / 'figures/embeddings.png'
    named = ['--teacher-options', f'model={tiny_clip}']
    load('embeddings').main([str(lgd_checkpoint), str(pictures), '--out', str(out), '--classes', '2', *named])
    assert min(Image.open(out).size) > 300


def test_the_layout_keeps_clusters_and_is_the_same_for_the_same_seed(load):
    tool = load('embeddings')
    labels = torch.arange(60) % 3
    generator = torch.Generator().manual_seed(0)
    embeddings = unit_rows(torch.eye(8)[labels] + 0.05 * torch.randn(60, 8, generator=generator))
    points = tool.layout(embeddings, 'tsne', seed=0)
    np.testing.assert_array_equal(points, tool.layout(embeddings, 'tsne', seed=0))
    assert points.shape == (60, 2) and points.std() == pytest.approx(1) and abs(points.mean()) < 1e-6
    middles = np.stack([points[labels == k].mean(axis=0) for k in range(3)])
    nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(axis=1)
    assert (nearest == labels.numpy()).all()


def test_too_few_pictures(load):
    with pytest.raises(ValueError, match='at least 10 pictures, got 3'):
        load('embeddings').layout(torch.eye(3), 'tsne', seed=0)


def test_a_missing_umap_is_named(load, monkeypatch):
    tool, real = load('embeddings'), builtins.__import__

    def missing(name, *args, **kwargs):
        if name == 'umap':
            raise ImportError("No module named 'umap'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', missing)
    with pytest.raises(ImportError, match='pip install umap-learn'):
        tool.layout(torch.eye(12), 'umap', seed=0)
