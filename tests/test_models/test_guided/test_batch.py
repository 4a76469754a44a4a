"""What samples say of places: padding, and objects."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmlgd.errors import ConfigError
from mmlgd.models.guided.batch import extents_of, object_weights

sides = st.integers(0, 80).map(lambda halves: halves / 2)


def sample(shape=(32, 48), **annotations):
    return BaseDataElement(metainfo=dict(img_shape=shape), **annotations)


def test_the_extent_of_an_image_is_its_share_of_the_batch():
    assert extents_of([sample(), sample((64, 24, 3))], (64, 48)) == ((0.5, 1.0), (1.0, 0.5))
    assert extents_of([sample()], (32, 48)) is extents_of(None, (32, 48)) is None
    assert extents_of([BaseDataElement(), sample((64, 96))], (64, 48)) is None  # not known, and before a crop


def test_a_size_that_no_batch_of_a_classifier_would_have_is_not_the_extent():
    assert extents_of([sample((20, 48)), sample((32, 40))], (32, 48), 1) == ((0.625, 1.0), (1.0, 40 / 48))
    assert extents_of([sample((20, 40)), sample((28, 40))], (32, 64), 32) == ((0.625, 0.625), (0.875, 0.625))
    for shapes in (((20, 30), (20, 30)), ((500, 300), (20, 30)), ((32, 48), (20, 64))):
        assert extents_of([sample(shape) for shape in shapes], (32, 48), 1) is None
    assert extents_of(None, (32, 48), 1) is None


@settings(max_examples=50)
@given(boxes=st.lists(st.tuples(sides, sides, sides, sides), max_size=3), h=st.integers(1, 5), w=st.integers(1, 5))
def test_a_place_that_overlaps_a_box_is_on_an_object(boxes, h, w):
    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in boxes]
    there = torch.ones(1, h, w, dtype=torch.bool)
    there[:, :, 1:] = torch.rand(1, h, w - 1, generator=torch.Generator().manual_seed(h)) > 0.3
    instances = InstanceData(bboxes=torch.tensor(boxes).view(-1, 4))
    found = object_weights([sample(gt_instances=instances)], there, (32, 48))
    on = torch.zeros_like(there)
    for y in range(h):
        for x in range(w):
            top, left, bottom, right = y * 32 / h, x * 48 / w, (y + 1) * 32 / h, (x + 1) * 48 / w
            on[0, y, x] = any(a < right and c > left and b < bottom and d > top for a, b, c, d in boxes)
    on &= there
    off = there & ~on
    expected = on / max(1, on.sum()) + off / max(1, off.sum())
    torch.testing.assert_close(found, expected)
    assert (found[~there] == 0).all() and found.sum().item() == pytest.approx(int(on.any()) + int(off.any()))


def test_masks_and_labelled_pixels_are_objects_too():
    pytest.importorskip('mmdet')
    from mmdet.structures.mask import BitmapMasks

    mask = np.zeros((2, 32, 40), np.uint8)
    mask[0, 20, 3] = mask[1, 2, 39] = 1
    there = torch.ones(1, 2, 2, dtype=torch.bool)
    expected = torch.tensor([[[0.5, 0.5], [0.5, 0.5]]])
    instances = InstanceData(masks=BitmapMasks(mask, 32, 40), bboxes=torch.zeros(2, 4))
    torch.testing.assert_close(object_weights([sample(gt_instances=instances)], there, (32, 48)), expected)
    instances.masks = torch.from_numpy(mask).bool()  # as the loss of RTMDet-Ins leaves them
    torch.testing.assert_close(object_weights([sample(gt_instances=instances)], there, (32, 48)), expected)
    pixels = torch.full((1, 32, 48), 11)
    pixels[0, 20, 3] = pixels[0, 2, 39] = 0
    labels = PixelData(data=pixels)
    torch.testing.assert_close(object_weights([sample(gt_sem_seg=labels)], there, (32, 48), ignored=11), expected)


def test_samples_without_objects_are_refused():
    with pytest.raises(ConfigError, match="focus='objects' reads ground-truth boxes, masks or labelled"):
        object_weights([sample()], torch.ones(1, 2, 2, dtype=torch.bool), (32, 48))
