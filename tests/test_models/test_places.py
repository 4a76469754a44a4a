import ast
import re

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import ResNet

from mmlgd import StudentPlaces
from mmlgd.errors import ConfigError
from mmlgd.models import ProjectionNeck, place_map
from mmlgd.models.necks import pooled
from mmlgd.models.places import to_grid
from mmlgd.registry import MODELS

VIT = dict(type='mmpretrain.VisionTransformer', arch='deit-tiny', img_size=32, patch_size=16)
TIMM = dict(type='mmpretrain.TIMMBackbone', model_name='vit_wee_patch16_reg1_gap_256', img_size=32)


def built(**settings):
    backbone = MODELS.build(settings)
    backbone.eval()
    return backbone


def rand(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_places_are_the_neck_at_each_position():
    neck, x = ProjectionNeck(16, 8), rand(2, 16, 3, 5)
    places = StudentPlaces()((rand(2, 8, 6, 10), x), ResNet(18), neck, (96, 160))
    assert places.shape == (2, 3, 5, 8) and places.dtype == torch.float32
    for h in range(3):
        for w in range(5):
            torch.testing.assert_close(places[:, h, w], neck((x[:, :, h, w],)))
    assert not list(StudentPlaces().parameters()) and not StudentPlaces().state_dict()


def test_a_constant_image_has_the_embedding_of_each_place():
    neck, x = ProjectionNeck(16, 8), rand(2, 16, 1, 1).expand(-1, -1, 3, 4)
    places = StudentPlaces()((x,), ResNet(18), neck, (96, 128))
    torch.testing.assert_close(places, neck((x,))[:, None, None].expand_as(places))


@pytest.mark.parametrize('size', [(3, 4), (1, 1), (7, 2)])
def test_tokens_are_a_grid_row_by_row(size):
    h, w = size
    x = rand(2, 16, h, w)
    tokens = x.flatten(2).transpose(1, 2)  # (N, T, C)
    assert torch.equal(place_map((tokens,), torch.nn.Identity(), (16 * h, 16 * w)), x)


@pytest.mark.parametrize('settings, prefix', [(dict(VIT, out_type='raw'), 1), (TIMM, 1)], ids=['mmpretrain', 'timm'])
def test_prefix_tokens_of_a_transformer_are_no_places(settings, prefix):
    backbone = built(**settings)
    feats = backbone(rand(2, 3, 32, 32))
    assert feats[-1].shape[1] == prefix + 4
    assert torch.equal(place_map(feats, backbone, (32, 32)).flatten(2), feats[-1][:, prefix:].transpose(1, 2))


def test_a_map_of_a_transformer_is_its_tokens():
    backbone = built(**VIT, out_type='featmap')
    x = rand(2, 3, 32, 32)
    found = place_map(backbone(x), backbone, (32, 32))
    backbone.out_type = 'raw'
    assert torch.equal(found, place_map(backbone(x), backbone, (32, 32)))


ATTO = dict(depths=[1, 1, 1, 1], channels=[8, 16, 24, 32])
CURES = [  # without its setting the backbone has no places; the size of an image
    (dict(type='mmpretrain.VisionTransformer', arch='deit-tiny', img_size=32), 32),
    (dict(type='mmpretrain.DistilledVisionTransformer', arch='deit-tiny', img_size=32), 32),
    (dict(type='mmpretrain.BEiTViT', arch='deit-tiny', img_size=32), 32),
    (dict(type='mmpretrain.ViTEVA02', arch='tiny', img_size=28), 28),
    (dict(type='mmpretrain.XCiT', patch_size=16, embed_dims=16, depth=1, num_heads=2, layer_scale_init_value=1.0), 32),
    (dict(type='mmpretrain.ConvNeXt', arch=ATTO), 64),
    (dict(type='mmpretrain.EdgeNeXt', arch='xxsmall'), 64),
    (dict(type='mmpretrain.HorNet', arch='tiny'), 64),
    (dict(type='mmpretrain.TinyViT', arch='5m', img_size=(224, 224)), 224),
    (dict(type='mmpretrain.EfficientFormer', arch='l1'), 224),
]


@pytest.mark.parametrize(
    'settings, side', CURES, ids=lambda value: str(value['type']) if isinstance(value, dict) else ''
)
def test_the_error_names_the_setting_that_gives_places(settings, side):
    x, backbone = rand(1, 3, side, side), built(**settings)
    with pytest.raises(ConfigError, match=r'Set model\.backbone\.(\w+)=(.*)\.$') as refused, torch.no_grad():
        place_map(backbone(x), backbone, (side, side))
    name, value = re.search(r'model\.backbone\.(\w+)=(.*)\.$', str(refused.value)).groups()
    cured = built(**{**settings, name: ast.literal_eval(value)})
    with torch.no_grad():
        found = place_map(cured(x), cured, (side, side))
    assert found.ndim == 4 and found.shape[2] == found.shape[3] > 0


def test_what_has_no_places_is_refused_by_name():
    backbone = built(**VIT, out_type='cls_token')
    with pytest.raises(ConfigError, match=r"VisionTransformer has no places: .*\(1, 192\).*out_type='featmap'"):
        place_map(backbone(rand(1, 3, 32, 32)), backbone, (32, 32))
    with pytest.raises(ConfigError, match=r'Identity has no places: .*\(2, 5\).* Choose a backbone with a feature map'):
        place_map((rand(2, 5),), torch.nn.Identity(), (32, 32))
    for tokens, shape in ((197, (224, 224)), (14, (64, 64)), (0, (64, 64))):  # a prefix too many, and no grid
        with pytest.raises(ConfigError, match=f'The {tokens} tokens of Identity are no grid'):
            place_map((rand(1, tokens, 4),), torch.nn.Identity(), shape)


def test_stages_join_in_a_top_down_path_that_starts_as_the_last_stage():
    backbone, neck = ResNet(18, base_channels=8, stem_channels=8, out_indices=(1, 2, 3)), ProjectionNeck(64, 8)
    feats = backbone(rand(2, 3, 64, 96))
    path = StudentPlaces([0, 1, 2], [16, 32, 64])
    coarse = F.interpolate(feats[-1], (4, 6), mode='bilinear')
    expected = neck.project(F.interpolate(coarse, (8, 12), mode='bilinear').permute(0, 2, 3, 1))
    torch.testing.assert_close(path(feats, backbone, neck, (64, 96)), expected)
    path(feats, backbone, neck, (64, 96))[..., 0].sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in path.parameters())
    torch.nn.init.normal_(path.laterals[0].weight)
    assert not torch.equal(path(feats, backbone, neck, (64, 96)), expected)
    assert sorted(path.state_dict()) == ['laterals.0.weight', 'laterals.1.weight']


@pytest.mark.parametrize(
    'stages, said',
    [
        ([2], 'two or more indices'),
        ([2, 1], 'two or more'),
        ([-2, -1], 'two or more'),
        ([0, 1], 'returns 3, got'),
        ([], 'two'),
    ],
)
def test_stages_that_do_not_fit_the_backbone_are_refused(stages, said):
    with pytest.raises(ConfigError, match=said):
        StudentPlaces(stages, [16, 32, 64])


def test_another_grid_is_bilinear_and_of_unit_length():
    places = F.normalize(rand(2, 4, 4, 8), dim=-1)
    assert to_grid(places, (4, 4)) is places
    halved = to_grid(places, (2, 2))
    mean = places.unflatten(1, (2, 2)).unflatten(3, (2, 2)).mean((2, 4))  # each of 2 x 2 places
    torch.testing.assert_close(halved, F.normalize(mean, dim=-1))
    torch.testing.assert_close(to_grid(places, (7, 9)).norm(dim=-1), torch.ones(2, 7, 9))
    same = places[:, :1, :1].expand(-1, 3, 3, -1)
    torch.testing.assert_close(to_grid(same, (5, 2)), places[:, :1, :1].expand(-1, 5, 2, -1))


@pytest.mark.parametrize('shape, grid', [((9, 12), (3, 4)), ((16, 16), (5, 5)), ((12, 4), (3, 6))])
def test_each_place_of_a_much_finer_grid_has_its_part(shape, grid):
    places = F.normalize(rand(1, *shape, 8), dim=-1).requires_grad_()
    coarse = to_grid(places, grid)
    coarse.sum().backward()
    assert coarse.shape == (1, *grid, 8) and (places.grad.norm(dim=-1) > 0).all()
    if shape == (9, 12):
        mean = places.unflatten(1, (3, 3)).unflatten(3, (4, 3)).mean((2, 4))
        torch.testing.assert_close(coarse, F.normalize(mean, dim=-1))


def test_places_are_float32_under_autocast():
    neck, x = ProjectionNeck(16, 8), rand(2, 16, 3, 3)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        places = StudentPlaces()((x,), ResNet(18), neck, (96, 96))
    assert places.dtype == torch.float32
    torch.testing.assert_close(places.norm(dim=-1), torch.ones(2, 3, 3))
    assert pooled((x,)).shape == (2, 16)
