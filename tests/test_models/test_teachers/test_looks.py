"""Networks of every library as looks: pooled as they pool, without their head, with places where these are known."""

import pytest
import timm
import torch
from torch import nn

from mmlgd.models.embedded import Embedded
from mmlgd.models.teachers import TeacherError
from mmlgd.models.teachers.classifiers import load_classifier
from mmlgd.models.teachers.looks import LooksNetwork
from mmlgd.models.teachers.looks.network import without_head
from mmlgd.models.teachers.looks.statistics import Statistics, measure, scale_of

from .test_places.test_classifiers import MMPRETRAIN_POOLS, mmpretrain_config

# Name, side of its images here, dimensions, grid of its places, whether its head is a linear layer.
NETWORKS = [
    ('torchvision:resnet18', 64, 512, 2, True),
    ('torchvision:vit_b_32', 224, 768, None, True),
    ('timm:test_resnet', 64, 96, 2, True),
    ('timm:test_convnext', 64, 64, 2, True),
    ('timm:test_vit', 160, 64, 10, True),  # a class token: its patch tokens
    ('timm:test_vit3', 160, 96, 10, True),  # a mean of tokens
    ('timm:vit_tiny_patch16_dinov3_qkvb', 64, 192, 4, False),
    ('mmpretrain:resnet18_8xb32_in1k', 64, 512, 2, True),
    ('mmpretrain:regnetx-400mf_8xb128_in1k', 64, 384, 2, True),  # takes BGR
    ('mmpretrain:deit-tiny_4xb256_in1k', 224, 192, 14, True),
    ('efficientnet-lite:lite0', 64, 1280, 2, True),
]


@pytest.mark.parametrize('name, side, channels, grid, has_head', NETWORKS)
def test_networks_of_every_library(name, side, channels, grid, has_head):
    if name.startswith('efficientnet-lite'):
        pytest.importorskip('efficientnet_lite_pytorch')
    if name.startswith('timm:'):
        timm = pytest.importorskip('timm')
        if not timm.is_model(name.partition(':')[2]):
            pytest.skip(f'timm {timm.__version__} has no {name}')
    torch.manual_seed(0)
    network = LooksNetwork(name, weights=False, image_size=side)
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        image = network(x).image
        assert image.shape == (2, channels) and (network.head is not None) == has_head
        assert network.has_places == (grid is not None)
        if grid:
            found = network(x, places=True)
            torch.testing.assert_close(found.image, image, atol=1e-3 * image.abs().max().item(), rtol=1e-3)
            assert found.places.shape == (2, grid, grid, channels)
        else:
            with pytest.raises(TeacherError, match=f'network {name} has no places'):
                network(x, places=True)


@pytest.mark.parametrize('name', ['timm:test_vit', 'torchvision:resnet18', 'mmpretrain:resnet18_8xb32_in1k'])
def test_features_are_those_before_the_head(name):
    torch.manual_seed(0)
    model, size, *_ = load_classifier(name, weights=False)
    network, head = without_head(model.eval(), name, size)
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(head(network(x)), model(x))
    assert {p.data_ptr() for p in network.parameters()} < {p.data_ptr() for p in model.parameters()}


def test_patch_tokens_are_those_of_the_model():
    torch.manual_seed(0)
    network = LooksNetwork('timm:test_vit', weights=False)
    x = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        tokens = network.network.forward_features(x)[:, 1:]
        torch.testing.assert_close(network(x, places=True).places.flatten(1, 2), tokens)
    assert not network.averages_places and LooksNetwork('timm:test_resnet', False, 64).averages_places


def test_places_of_larger_images():
    network = LooksNetwork('timm:test_vit', weights=False, image_size=64, places_size=(128, 64))
    assert network.size_of(True) == (128, 64) and network.image_size == (64, 64)
    assert network(torch.zeros(1, 3, 128, 64), places=True).places.shape == (1, 8, 4, 64)
    with pytest.raises(TeacherError, match=r'timm:test_vit cannot take images of \(65, 65\): .*multiples of'):
        LooksNetwork('timm:test_vit', weights=False, image_size=65)


def test_the_fingerprint_is_of_the_weights_that_were_trained(tmp_path):
    """Position embeddings are resized a little differently by other processors and versions of torch."""
    torch.save(timm.create_model('test_vit', pretrained=False).state_dict(), tmp_path / 'vit.pth')
    usual, small = (LooksNetwork('timm:test_vit', str(tmp_path / 'vit.pth'), size) for size in (None, 64))
    assert usual.fingerprint == small.fingerprint and usual.settings != small.settings


def test_a_classifier_with_another_head_is_refused():
    with pytest.raises(TeacherError, match='squeezenet1_1 has no linear layer at its end'):
        LooksNetwork('torchvision:squeezenet1_1', weights=False)
    of_timm = LooksNetwork('timm:resnetv2_50x1_bit', weights=False, image_size=64)  # a head of 1 x 1 convolutions
    assert of_timm.channels == 2048 and of_timm.head is None


def test_a_classifier_of_mmpretrain_with_two_heads_is_refused(tmp_path):
    """Its logits were taken for features."""
    model = dict(type='ImageClassifier', backbone=dict(type='LeViT', arch='128s', img_size=64))
    model.update(neck=dict(type='GlobalAveragePooling'), head=dict(type='LeViTClsHead', num_classes=5, in_channels=384))
    text = f'model = {model}\ndata_preprocessor = dict(mean=[0] * 3, std=[1] * 3)\ndefault_scope = "mmpretrain"\n'
    (tmp_path / 'config.py').write_text(text)
    with pytest.raises(TeacherError, match='has no linear layer at its end'):
        LooksNetwork(f'mmpretrain:{tmp_path}/config.py', weights=False, image_size=64)


def test_a_module_that_gives_features_stays_whole():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = LooksNetwork(module, image_size=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert network.channels == 4 and network.head is None and network.averages_places


@pytest.mark.parametrize('kind', ['ResNet', 'VisionTransformer'])
def test_a_model_of_mmpretrain_without_a_head(kind, tmp_path):
    backbone = dict(
        ResNet='depth=18, base_channels=8, stem_channels=8', VisionTransformer="arch='deit-tiny', img_size=64"
    )
    neck = "dict(type='GlobalAveragePooling')" if kind == 'ResNet' else None
    pixels = 'mean=[128.0] * 3, std=[64.0] * 3, to_rgb=True'
    text = f"model = dict(type='ImageClassifier', backbone=dict(type='{kind}', {backbone[kind]}), neck={neck}, "
    (tmp_path / 'config.py').write_text(f'{text}data_preprocessor=dict({pixels}))\ndefault_scope = "mmpretrain"\n')
    network = LooksNetwork(f'mmpretrain:{tmp_path}/config.py', weights=False, image_size=64)
    assert network.head is None and network.averages_places == (kind == 'ResNet')
    found = network(torch.randn(2, 3, 64, 64), places=True)
    assert found.places.shape[:3] == ((2, 2, 2) if kind == 'ResNet' else (2, 4, 4))
    assert found.places.shape[-1] == found.image.shape[-1] == network.channels


@pytest.mark.parametrize('kind', MMPRETRAIN_POOLS)
def test_models_of_mmpretrain_that_pool_in_their_own_way(kind, tmp_path):
    """Without a class token, an image is the mean over its places: of a window's transformer, too."""
    network = LooksNetwork(mmpretrain_config(tmp_path, kind), weights=False, image_size=64)
    found = network(torch.randn(2, 3, 64, 64), places=True)
    grid = MMPRETRAIN_POOLS[kind][2]
    assert network.averages_places and found.places.shape == (2, grid, grid, network.channels)
    assert network.channels == network.head.in_features


def test_statistics_are_written_and_read_exactly():
    rows = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 10, 1e-3, 100, 1.0]) + 1e3
    found = measure(Embedded(part, None) for part in rows.split(7))
    torch.testing.assert_close(found.mean, rows.mean(0))
    torch.testing.assert_close(found.std, rows.double().std(0, correction=0).float(), rtol=1e-4, atol=0)
    again = Statistics.read(found.text(), 5, False)
    assert torch.equal(again.mean, found.mean) and torch.equal(again.std, found.std)
    with_places = measure([Embedded(rows, rows[:36].view(1, 6, 6, 5))])
    assert torch.equal(Statistics.read(with_places.text(), 5, True).places_std, with_places.places_std)
    assert set(with_places.text()) <= set('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=')
    with pytest.raises(TeacherError, match='20 numbers, expected 10'):
        Statistics.read(with_places.text(), 5, False)
    broken = Statistics(torch.full((5,), float('nan')), torch.ones(5)).text()
    with pytest.raises(TeacherError, match='damaged'):
        Statistics.read(broken, 5, False)


def test_the_scale_of_a_constant_dimension_is_zero():
    assert scale_of(torch.tensor([0.0, 1e6, 0.0]), torch.tensor([0.0, 0.1, 2.0])).tolist() == [0.0, 0.0, 0.5]
