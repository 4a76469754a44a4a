"""Windows lie as in mmsegmentation's sliding inference, on one grid of places."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmpretrain.models import ResNet, VisionTransformer
from torch import nn

from mmlgd.errors import ConfigError
from mmlgd.models import ProjectionNeck, StudentPlaces
from mmlgd.student.segment import Segmenter
from mmlgd.student.windows import Tower, Windows, find_tower, pixels_of

FREE = Tower(None, (64, 64), (2, 2), (32, 32), True)
FIXED = Tower(None, (64, 64), (3, 3), (64 / 3, 64 / 3), False)


def tower_of(backbone, channels, size):
    neck = ProjectionNeck(channels, 8).eval()
    backbone.eval()
    return find_tower(lambda x: StudentPlaces()(backbone(x), backbone, neck, tuple(x.shape[-2:])), size, torch.zeros(1))


@pytest.mark.parametrize('size, grid', [(64, 2), (200, 7), (224, 7), (240, 8), (100, 4), (32, 1)])
def test_a_convolutional_network_halves_images(size, grid):
    backbone = ResNet(18, base_channels=4, stem_channels=4)
    tower = tower_of(backbone, 32, (size, size))
    assert tower.grid == (grid, grid) and tower.cell == (32, 32) and tower.takes_any_size


@pytest.mark.parametrize('size, grid', [(200, 6), (100, 3), (224, 7)])
def test_a_network_of_patches_leaves_out_what_is_no_whole_place(size, grid):
    """Such as ConvNeXt: its places have 32 pixels at any size, not a share of the size."""
    torch.manual_seed(0)
    patches = nn.Conv2d(3, 8, 32, 32)
    tower = find_tower(lambda x: patches(x).permute(0, 2, 3, 1), (size, size), torch.zeros(1))
    assert tower.grid == (grid, grid) and tower.cell == (32, 32) and tower.takes_any_size
    segmenter = Segmenter(tower, torch.eye(8)[:3], ['a', 'b', 'c'], 0.1, nn.Identity(), size=640)
    assert segmenter.segment(torch.rand(3, 30, 40)).labels.shape == (30, 40)


@pytest.mark.parametrize('size, patch', [(56, 14), (100, 14), (70, 10)])
def test_patches_need_not_be_powers_of_two(size, patch):
    patches = nn.Conv2d(3, 8, patch, patch)
    tower = find_tower(lambda x: patches(x).permute(0, 2, 3, 1), (size, size), torch.zeros(1))
    assert tower.cell == (patch, patch) and tower.takes_any_size


def test_a_transformer_has_places_of_its_patches():
    small = dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16)
    tower = tower_of(VisionTransformer(small, img_size=56, patch_size=14, out_type='featmap'), 16, (56, 56))
    assert tower.grid == (4, 4) and tower.cell == (14, 14) and tower.takes_any_size


def test_what_takes_one_size_alone_is_shown_windows_of_it():
    def encode(x):
        if x.shape[-2:] != (60, 60):
            raise AssertionError('Input height does not match')
        return torch.nn.functional.avg_pool2d(x, 20).permute(0, 2, 3, 1)

    tower = find_tower(encode, (60, 60), torch.zeros(1))
    assert not tower.takes_any_size and tower.grid == (3, 3) and tower.cell == (20, 20)
    segmenter = Segmenter(tower, torch.eye(3), ['a', 'b', 'c'], 0.1, nn.Identity())
    assert segmenter.segment(torch.rand(3, 90, 250)).labels.shape == (90, 250)
    for options in (dict(size=40), dict(window=80)):
        with pytest.raises(ConfigError, match='60 x 60 pixels alone'):
            Windows(tower, **options)
    with pytest.raises(ConfigError, match='gaps between windows of 60'):
        Windows(tower, stride=61)
    assert len(list(Windows(tower, stride=20).boxes((3, 5)))) == 3


def test_a_lack_of_memory_is_no_answer():
    def encode(x):
        if x.shape[-1] > 64:
            raise torch.OutOfMemoryError('out of memory')
        return x[:, :, ::16, ::16].permute(0, 2, 3, 1)

    with pytest.raises(torch.OutOfMemoryError):
        find_tower(encode, (64, 64), torch.zeros(1))


def test_a_teacher_that_resizes_all_images_takes_one_size():
    def encode(x):
        return torch.nn.functional.interpolate(x, (5, 5)).permute(0, 2, 3, 1)

    tower = find_tower(encode, (64, 64), torch.zeros(1))
    assert not tower.takes_any_size and tower.grid == (5, 5) and tower.cell == (12.8, 12.8)
    image = torch.rand(3, 70, 233)
    assert Segmenter(tower, torch.eye(3), ['a', 'b', 'c'], 0.1, nn.Identity()).segment(image).labels.shape == (70, 233)


def test_the_short_side_is_the_size():
    assert Windows(FREE).grid_of((360, 480)) == (2, 3)
    assert Windows(FREE, size=320).grid_of((1000, 3000)) == (10, 30)
    assert Windows(FREE, size=20).grid_of((50, 50)) == (1, 1)
    assert pixels_of(Windows(FIXED).grid_of((64, 64)), FIXED.cell) == (64, 64)


def test_a_long_strip_is_refused():
    with pytest.raises(ConfigError, match='1 x 90000 pixels would be resized'):
        Windows(FREE).grid_of((1, 90000))


def test_the_whole_image_at_once_unless_it_is_large():
    (box,) = Windows(FREE, size=320).boxes((10, 30))
    assert box == (slice(0, 10), slice(0, 30))
    large = list(Windows(FREE, size=1024).boxes((33, 33)))
    assert len(large) > 1 and {rows.stop - rows.start for rows, _ in large} == {2}


@given(
    total=st.tuples(st.integers(1, 40), st.integers(1, 40)), window=st.integers(1, 1300), stride=st.integers(1, 1300)
)
def test_windows_cover_the_grid(total, window, stride):
    seen = torch.zeros(total)
    if stride > window:
        return
    for rows, columns in Windows(FREE, window=window, stride=stride).boxes(total):
        assert rows.start >= 0 and columns.start >= 0
        seen[rows, columns] += 1
        assert seen[rows, columns].shape == tuple(min(max(1, round(window / 32)), n) for n in total)
    assert (seen > 0).all()


@pytest.mark.parametrize('shape, window, stride', [((40, 52), 16, 12), ((16, 33), 20, 7), ((37, 41), 37, 20)])
def test_scores_are_those_of_mmsegmentations_sliding_inference(shape, window, stride):
    mmseg = pytest.importorskip('mmseg.models.segmentors')
    torch.manual_seed(0)
    mixing = nn.Conv2d(3, 8, 3, padding=1)  # what is seen depends on the window

    def encode(x):
        return torch.nn.functional.normalize(mixing(x).permute(0, 2, 3, 1), dim=-1)

    bank = torch.nn.functional.normalize(torch.randn(5, 8), dim=-1)
    tower = Tower(encode, (8, 8), (8, 8), (1, 1), True)
    image = torch.randn(2, 3, *shape)
    ours = Segmenter(
        tower, bank, list('abcde'), 0.5, nn.Identity(), size=min(shape), window=window, stride=stride
    ).logits(image)
    theirs = mmseg.EncoderDecoder.slide_inference(
        SimpleNamespace(
            test_cfg=SimpleNamespace(stride=(stride, stride), crop_size=(window, window)),
            out_channels=5,
            encode_decode=lambda x, _: torch.einsum('nhwd,kd->nkhw', encode(x), bank) / 0.5,
        ),
        image,
        [{}],
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
