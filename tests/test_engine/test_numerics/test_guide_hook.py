"""What the hook of a guide reads from a run."""

from types import SimpleNamespace

import numpy as np
import pytest
from mmpretrain.datasets import CIFAR10, NumpyToPIL, PILToNumpy

from mmlgd.engine import GuideHook
from mmlgd.engine.numerics import guide_hook
from mmlgd.engine.numerics.guide_hook import _check_colours, _classes_of
from mmlgd.errors import ConfigError


def test_joined_sets_have_the_classes_that_all_of_them_have():
    """mmdetection's ConcatDataset has a list, if anything else in their METAINFO differs."""
    one, other = (dict(classes=('cat', 'dog'), palette=[k]) for k in range(2))
    assert _classes_of(SimpleNamespace(metainfo=[one, other])) == ('cat', 'dog')
    assert _classes_of(SimpleNamespace(metainfo=one)) == ('cat', 'dog')
    assert _classes_of(SimpleNamespace(metainfo=None)) is _classes_of(object()) is None
    with pytest.raises(ConfigError, match='joins sets of different classes.*Give all the same metainfo'):
        _classes_of(SimpleNamespace(metainfo=[one, dict(classes=('dog', 'cat'))]))


def test_images_that_are_rgb_are_refused_where_nothing_converts():
    cifar, bgr = CIFAR10.__new__(CIFAR10), SimpleNamespace(bgr=True)
    cifar._metainfo = {}  # a built one has it
    for dataset in (cifar, SimpleNamespace(dataset=cifar), SimpleNamespace(datasets=[object(), cifar])):
        with pytest.raises(ConfigError, match='The images of CIFAR10 are RGB.*to_bgr=True.*to_rgb=True'):
            _check_colours(dataset, bgr)
    _check_colours(cifar, SimpleNamespace(bgr=False))
    _check_colours(object(), bgr)
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    turned = PILToNumpy(to_bgr=True)(NumpyToPIL()(dict(img=image)))['img']  # what the message says
    assert np.array_equal(turned[..., ::-1], image)


def test_class_folders_at_the_labels_of_other_names_are_refused(monkeypatch):
    """mmpretrain labels folders in the order of their letters, whatever `classes` it is given."""
    guide = SimpleNamespace(name=lambda classes: None, class_names=['dog', 'cat'])
    monkeypatch.setattr(guide_hook, '_guided', lambda runner: SimpleNamespace(guide=guide))
    dataset = SimpleNamespace(metainfo=dict(classes=('dog', 'cat')), data_root='pets', folder_to_idx=dict(cat=0, dog=1))
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=SimpleNamespace(dataset=dataset)))
    with pytest.raises(ConfigError, match="training set 'pets' has '?cat'? as its label 0"):
        GuideHook().before_run(SimpleNamespace(_train_loop=loop))
