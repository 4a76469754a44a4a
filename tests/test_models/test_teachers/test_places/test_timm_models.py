import pytest
import torch
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from torch import nn

from mmlgd.models.teachers.places.base import find_places
from mmlgd.models.teachers.places.timm_models import timm_places

SMALL = dict(img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=6)
MODELS = dict(
    eva=lambda: Eva(**SMALL, use_rot_pos_emb=True),
    eva_post_norm=lambda: Eva(**SMALL, use_post_norm=True),
    perception_encoder=lambda: Eva(**SMALL, global_pool='map', use_rot_pos_emb=True, attn_pool_num_heads=2),
    registers=lambda: VisionTransformer(**SMALL, reg_tokens=3),
    siglip=lambda: VisionTransformer(**SMALL, global_pool='map', class_token=False),
    mean=lambda: VisionTransformer(**SMALL, global_pool='avg'),
)


def places_of(model, size=None):
    return find_places(model, lambda tower: timm_places(tower, nn.Identity()), (32, 32), size, 'It')


@pytest.mark.parametrize('name', MODELS)
def test_transformers_of_timm(name):
    torch.manual_seed(0)
    model = MODELS[name]().eval().requires_grad_(False)
    for value in model.parameters():
        if value.ndim > 1:
            nn.init.normal_(value, std=0.3)  # timm's own start is so small that all outputs are near 0
    x = torch.randn(2, 3, 32, 32)
    found = places_of(model)(x)
    torch.testing.assert_close(found.image, model(x))
    assert found.places.shape == (2, 4, 4, 6) and found.places.flatten(1, 2).std(1).min() > 1e-2
    assert places_of(model, (48, 64))(torch.randn(1, 3, 48, 64)).places.shape == (1, 6, 8, 6)
    torch.testing.assert_close(model(x), found.image)  # the larger one is another


@pytest.mark.parametrize(
    'model',
    [
        lambda: VisionTransformerRelPos(**SMALL, class_token=True, global_pool='token'),  # attention over one token
        lambda: VisionTransformer(**SMALL, global_pool='max'),
        lambda: VisionTransformer(**{**SMALL, 'depth': 1}),
    ],
)
def test_other_models_have_none(model):
    assert places_of(model().eval()) is None
