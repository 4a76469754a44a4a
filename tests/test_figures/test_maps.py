"""Maps of student and teacher: their layout, and what is drawn with what."""

import builtins

import numpy as np
import pytest
import torch
from PIL import Image

from mmlgd.evaluation import unit_rows
from mmlgd.figures.maps import layout
from mmlgd.run.drawing import draw_map

pytest.importorskip('sklearn')


def test_maps_of_student_and_teacher(lgd_checkpoint, images, tiny_clip, tmp_path):
    out = tmp_path / 'figures/embeddings.png'
    draw_map(str(lgd_checkpoint), [str(images)], classes=2, teacher_options=dict(model=tiny_clip), out=out)
    assert min(Image.open(out).size) > 300


def test_the_layout_keeps_clusters_and_is_the_same_for_the_same_seed():
    labels = torch.arange(60) % 3
    generator = torch.Generator().manual_seed(0)
    embeddings = unit_rows(torch.eye(8)[labels] + 0.05 * torch.randn(60, 8, generator=generator))
    points = layout(embeddings, 'tsne', seed=0)
    np.testing.assert_array_equal(points, layout(embeddings, 'tsne', seed=0))
    assert points.shape == (60, 2) and points.std() == pytest.approx(1) and abs(points.mean()) < 1e-6
    middles = np.stack([points[labels == k].mean(axis=0) for k in range(3)])
    nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(axis=1)
    assert (nearest == labels.numpy()).all()


def test_too_few_images():
    with pytest.raises(ValueError, match='at least 10 images, got 3'):
        layout(torch.eye(3), 'tsne', seed=0)


def test_a_missing_umap_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == 'umap':
            raise ImportError("No module named 'umap'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', missing)
    with pytest.raises(ImportError, match='pip install umap-learn'):
        layout(torch.eye(12), 'umap', seed=0)
