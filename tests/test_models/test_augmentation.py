"""The batched augmentation: its maths against torchvision's and Pillow's, its noise, and the distribution it gives."""

import copy
import pickle
import sys

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.transforms import Compose
from mmengine.registry import DefaultScope, init_default_scope
from PIL import Image, ImageFilter
from scipy.stats import binomtest, ks_2samp
from torch.utils._python_dispatch import TorchDispatchMode

from mmlgd import MoCoV2Augmentation
from mmlgd.datasets import view_pipeline
from mmlgd.models.augmentation import NOISE
from mmlgd.models.pixels import gaussian_kernels, turn_hue
from tests.devices import never_waiting, on_card

OFF = dict(jitter_prob=0, gray_prob=0, blur_prob=0, flip_prob=0)


def smooth(n, size=32, seed=0):
    """Images that look like some: coarse random colours, enlarged."""
    coarse = torch.rand(n, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (size, size), mode='bicubic').clamp(0, 1)


def noise_of(n, **values):
    """Noise that draws the middle of everything, and applies nothing but what is said."""
    noise = torch.full((n, len(NOISE)), 0.5)
    for name in ('jitter', 'gray', 'blur', 'flip'):
        noise[:, NOISE.index(name)] = 0.999
    for name, value in values.items():
        noise[:, NOISE.index(name)] = torch.as_tensor(value, dtype=torch.float32)
    return noise


def uniform(n, seed=0):
    return torch.rand(n, MoCoV2Augmentation.num_noise, generator=torch.Generator().manual_seed(seed))


ADJUST = dict(
    brightness=lambda x, u: F.adjust_brightness(x, 1 + 0.4 * (2 * u - 1)),
    contrast=lambda x, u: F.adjust_contrast(x, 1 + 0.4 * (2 * u - 1)),
    saturation=lambda x, u: F.adjust_saturation(x, 1 + 0.4 * (2 * u - 1)),
    hue=lambda x, u: F.adjust_hue(x, 0.1 * (2 * u - 1)),
)


@pytest.mark.parametrize('name', ADJUST)
def test_each_colour_operation_is_torchvisions(name):
    images, strengths = smooth(8), torch.linspace(0, 1, 8)
    views = MoCoV2Augmentation(**{**OFF, 'jitter_prob': 1})(images, noise_of(8, **{name: strengths}))
    # torchvision weighs gray with 0.2989, which its own Pillow path rounds to 0.299 as well.
    for view, image, strength in zip(views, images, strengths.tolist()):
        torch.testing.assert_close(view, ADJUST[name](image, strength), atol=3e-4, rtol=0)


@settings(max_examples=25)
@given(st.permutations(list(ADJUST)), st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4))
def test_the_order_of_colour_operations(order, strengths):
    strengths = dict(zip(ADJUST, strengths))
    expected = smooth(1)
    for name in order:
        expected = ADJUST[name](expected, strengths[name])
    ranks = {f'order_{name}': order.index(name) / 4 for name in order}
    views = MoCoV2Augmentation()(smooth(1), noise_of(1, jitter=0, **strengths, **ranks))
    torch.testing.assert_close(views, expected, atol=2e-3, rtol=0)


def test_every_order_comes_equally_often():
    ranks = uniform(24_000)[:, [NOISE.index(f'order_{name}') for name in ADJUST]]
    _, counts = ranks.argsort(dim=1).unique(dim=0, return_counts=True)
    assert len(counts) == 24 and (counts - 1000).abs().max() < 5 * 1000**0.5


def test_gray_and_flip():
    images = smooth(3)
    gray = MoCoV2Augmentation()(images, noise_of(3, gray=0))
    torch.testing.assert_close(gray, F.rgb_to_grayscale(images, num_output_channels=3), atol=3e-4, rtol=0)
    assert torch.equal(MoCoV2Augmentation()(images, noise_of(3, flip=0)), images.flip(-1))


@pytest.mark.parametrize('sigma', [0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0])
def test_the_blur_is_pillows(sigma):
    pixels = (smooth(1, size=48)[0] * 255).round()
    image = Image.fromarray(pixels.permute(1, 2, 0).byte().numpy())
    blurred = np.array(image.filter(ImageFilter.GaussianBlur(radius=sigma)))
    expected = torch.from_numpy(blurred).permute(2, 0, 1).float()
    views = MoCoV2Augmentation()(pixels[None] / 255, noise_of(1, blur=0, sigma=(sigma - 0.1) / 1.9))
    inside = (slice(None), slice(6, -6), slice(6, -6))  # at borders, Pillow continues the image anew at each pass
    difference = (255 * views[0] - expected)[inside]
    assert difference.abs().max() < 3  # Pillow rounds to 8 bits six times
    assert difference.mean().abs() < 0.6


@settings(max_examples=30)
@given(st.lists(st.floats(0.125, 4, width=32), min_size=1, max_size=5))
def test_blur_kernels_have_the_variance_they_are_asked_for(sigmas):
    sigma = torch.tensor(sigmas)
    kernels = gaussian_kernels(sigma, greatest=4.0)
    offsets = torch.arange(kernels.shape[1]) - kernels.shape[1] // 2
    torch.testing.assert_close(kernels.sum(1), torch.ones(len(sigmas)))
    torch.testing.assert_close(kernels, kernels.flip(1))
    torch.testing.assert_close((kernels * offsets**2).sum(1), sigma**2, rtol=1e-4, atol=1e-5)
    assert kernels.min() > -1e-6


def test_hue_turns_all_the_way_round():
    primaries = torch.eye(3).view(1, 3, 3, 1).expand(1, 3, 3, 32).repeat(1, 1, 11, 1)[:, :, :32]
    images = torch.cat([smooth(2), torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32), primaries])
    torch.testing.assert_close(turn_hue(images, torch.zeros(5)), images)
    torch.testing.assert_close(turn_hue(images, torch.ones(5)), images, atol=1e-5, rtol=0)
    for turn in (-0.5, -0.1, 0.03, 0.25):
        expected = F.adjust_hue(images, turn)
        torch.testing.assert_close(turn_hue(images, torch.full((5,), turn)), expected, atol=1e-5, rtol=0)


def test_a_view_is_a_function_of_its_image_and_its_noise():
    augment, images, noise = MoCoV2Augmentation(), smooth(20), uniform(20)
    before = images.clone()
    views = augment(images, noise)
    assert torch.equal(augment(images, noise), views) and torch.equal(images, before)
    assert 0 <= views.min() and views.max() <= 1
    for rows in ([5], [19, 0, 7], list(range(19, -1, -1))):
        torch.testing.assert_close(augment(images[rows], noise[rows]), views[rows], atol=1e-6, rtol=0)
    torch.manual_seed(1)
    drawn = augment(images)
    torch.manual_seed(1)
    torch.testing.assert_close(drawn, augment(images, torch.rand(20, augment.num_noise)))
    assert not torch.equal(drawn, views)


def test_ranks_of_one_seed_draw_their_own_noise(monkeypatch):
    images, views = smooth(1).expand(4, -1, -1, -1), []
    for rank in (0, 1):
        monkeypatch.setattr('mmlgd.models.augmentation.get_dist_info', lambda rank=rank: (rank, 2))
        torch.manual_seed(0)
        views.append(MoCoV2Augmentation()(images))
    assert not any(torch.equal(a, b) for a, b in zip(*views))


def test_it_can_be_copied_and_pickled():
    """A model average copies the model, and with it the preprocessor."""
    augment, images, noise = MoCoV2Augmentation(blur_prob=0.9), smooth(2), uniform(2)
    for twin in (copy.deepcopy(augment), pickle.loads(pickle.dumps(augment))):
        assert torch.equal(twin(images, noise), augment(images, noise))


def test_probabilities_of_zero_and_one():
    images, noise = smooth(16), uniform(16)
    assert torch.equal(MoCoV2Augmentation(**OFF)(images, noise), images)
    only_flip = MoCoV2Augmentation(**{**OFF, 'flip_prob': 1})
    assert torch.equal(only_flip(images, noise), images.flip(-1))
    gray = MoCoV2Augmentation(gray_prob=1)(images, noise)
    torch.testing.assert_close(gray[:, 0], gray[:, 2])


def test_autocast_does_not_reach_the_pixels():
    images, noise = smooth(6), uniform(6)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        views = MoCoV2Augmentation()(images, noise)
    assert torch.equal(views, MoCoV2Augmentation()(images, noise))


class NoSync(TorchDispatchMode):
    """Fail at what a GPU would have to be waited for: a number or a size that depends on pixels."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        tensors = [a for a in args if isinstance(a, torch.Tensor)]
        # Images and their planes have three dimensions or more; noise and what follows from it has fewer.
        of_pixels = any(t.ndim >= 3 for t in tensors)
        assert not (of_pixels and name in ('nonzero', '_local_scalar_dense', 'masked_select', 'equal')), f'{func}'
        if name.startswith('index') and isinstance(args[1], (list, tuple)):
            assert not any(i is not None and i.dtype == torch.bool for i in args[1]), f'{func} with a mask'
        return func(*args, **(kwargs or {}))


def test_nothing_on_the_host_depends_on_a_pixel():
    with NoSync(), pytest.raises(AssertionError):
        smooth(2)[0, 0, 0, 0].expand(1, 1, 1).item()
    images, noise = smooth(12), uniform(12)
    with NoSync():
        MoCoV2Augmentation()(images, noise)


@on_card
def test_the_card_is_never_waited_for(device):
    pytest.importorskip('kornia', minversion='0.9')
    augment, images, noise = MoCoV2Augmentation(), smooth(12).to(device), uniform(12)
    expected = augment(images, noise)
    with never_waiting(device):
        views = augment(images, noise)
    assert torch.equal(views, expected)
    torch.testing.assert_close(views.cpu(), augment(images.cpu(), noise), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    'images, noise, message',
    [
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), None, r'\(2, 3, 8, 8\) of torch.uint8'),
        (torch.zeros(2, 1, 8, 8), None, r'Expected images \(N, 3, H, W\)'),
        (torch.zeros(3, 8, 8), None, r'got \(3, 8, 8\)'),
        (torch.zeros(2, 3, 8, 8), torch.zeros(3, 13), r'Expected noise \(2, 13\).*got \(3, 13\)'),
        (torch.zeros(2, 3, 8, 8), torch.zeros(2, 13, device='meta'), 'on the CPU.*on meta'),
    ],
)
def test_wrong_inputs_are_refused(images, noise, message):
    with pytest.raises(ValueError, match=message):
        MoCoV2Augmentation()(images, noise)


@pytest.mark.parametrize('option', [dict(hue=0.6), dict(brightness=-0.1), dict(blur_prob=2), dict(sigma=(0, 1))])
def test_wrong_options_are_refused(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        MoCoV2Augmentation(**option)


def test_without_kornia_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'kornia', None)
    with pytest.raises(ImportError, match=r'pip install "mmlgd\[fast\]"'):
        MoCoV2Augmentation()


def statistics_of(views):
    """Describe each of (N, 3, H, W) RGB views in 0..1 by what the augmentation changes."""
    gray = F.rgb_to_grayscale(views)
    laplacian = torch.tensor([[[[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]]])
    red, green, blue = views.mean((2, 3)).unbind(1)
    return dict(
        red=red,
        blue=blue,
        contrast=gray.std((1, 2, 3)) / gray.mean((1, 2, 3)),
        saturation=(views.amax(1) - views.amin(1)).mean((1, 2)) / views.amax(1).mean((1, 2)),
        hue=torch.atan2(3**0.5 * (green - blue), 2 * red - green - blue),
        sharpness=torch.nn.functional.conv2d(gray, laplacian).pow(2).mean((1, 2, 3)).sqrt(),
        left_over_right=(gray - gray.flip(-1))[..., : gray.shape[-1] // 2].mean((1, 2, 3)),
    )


VIEWS = 1500


@pytest.fixture(scope='module')
def views_of_both(tmp_path_factory):
    """Statistics of views of one colourful image, by the CPU pipeline and by the batched one; and the image.

    The crop is the whole image in both, since other crops would only add noise; they are compared in test_crop.py.
    """
    size, path = 32, tmp_path_factory.mktemp('views') / 'image.png'
    generator = torch.Generator().manual_seed(3)
    image = torch.tensor([0.5, 0.35, 0.2]).view(3, 1, 1) * (0.6 + 0.8 * smooth(1, size, seed=4)[0])
    image = image + 0.15 * torch.rand(1, size, size, generator=generator) + torch.linspace(0, 0.15, size)
    Image.fromarray((image * 255).byte().permute(1, 2, 0).numpy()).save(path)

    before = DefaultScope.get_current_instance()
    init_default_scope('mmpretrain')
    cpu, crop = (view_pipeline(view, size, crop=(1.0, 1.0)) for view in ('moco-v2', 'moco-v2-crop'))
    cpu[2].update(ratio=(1.0, 1.0)), crop[1].update(aspect_ratio_range=(1.0, 1.0))
    cpu, crop = Compose(cpu), Compose(crop)
    np.random.seed(0)
    torch.manual_seed(0)
    views = torch.stack([cpu(dict(img_path=str(path)))['inputs'] for _ in range(VIEWS)]).flip(1) / 255
    cropped = (crop(dict(img_path=str(path)))['inputs'].flip(0) / 255).expand(VIEWS, -1, -1, -1)
    if before is not None:
        init_default_scope(before.scope_name)
    return statistics_of(views), statistics_of(MoCoV2Augmentation()(cropped)), cropped


def test_views_are_distributed_as_the_cpu_pipelines(views_of_both):
    cpu, batched, _ = views_of_both
    # By chance alone, one of these seven would fail for one seed in 1,400.
    for name in cpu:
        result = ks_2samp(cpu[name].numpy(), batched[name].numpy())
        assert result.pvalue > 1e-4, f'{name}: {result}'
    for statistics in (cpu, batched):
        assert binomtest(int((statistics['saturation'] < 0.01).sum()), VIEWS, 0.2).pvalue > 1e-4
        assert binomtest(int((statistics['left_over_right'] > 0).sum()), VIEWS, 0.5).pvalue > 1e-4


@pytest.mark.parametrize(
    'option, name',
    [
        (dict(brightness=0.2), 'red'),
        (dict(contrast=0.1), 'contrast'),
        (dict(saturation=0), 'saturation'),
        (dict(hue=0.05), 'hue'),
        (dict(jitter_prob=0.6), 'hue'),
        (dict(blur_prob=0.35), 'sharpness'),
        (dict(sigma=(0.1, 1.0)), 'sharpness'),
        (dict(flip_prob=0.35), 'left_over_right'),
    ],
    ids=str,
)
def test_that_comparison_sees_another_distribution(views_of_both, option, name):
    """It has power: with as many views, it tells a changed option from the published one."""
    cpu, _, images = views_of_both
    changed = statistics_of(MoCoV2Augmentation(**option)(images, uniform(VIEWS)))
    assert ks_2samp(cpu[name].numpy(), changed[name].numpy()).pvalue < 1e-4
