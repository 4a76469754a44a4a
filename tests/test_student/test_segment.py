"""Names for each pixel: at any size, with windows, thresholds, and the scores that an image has as a whole."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from PIL import Image

import mmlgd
from mmlgd.checkpoints import CheckpointError
from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.student.segment import IGNORED, Segmenter
from mmlgd.student.windows import find_tower

COLOURS = torch.eye(3)


@pytest.fixture(scope='module')
def student(lgd_checkpoint, tiny_clip):
    return mmlgd.Student(lgd_checkpoint, device='cpu', teacher=dict(model=tiny_clip))


def of_colours(cell=8, **options):
    """A segmenter whose places are the mean colours of cells, and whose names are red, green and blue."""

    def encode(images):
        return F.normalize(F.avg_pool2d(images, cell, ceil_mode=True).permute(0, 2, 3, 1) + 1e-9, dim=-1)

    tower = find_tower(encode, (32, 32), torch.zeros(1))
    return Segmenter(tower, COLOURS, ['red', 'green', 'blue'], 0.1, torch.nn.Identity(), **options)


def flag(height, width):
    """Three stripes, from left to right, as a normalised image."""
    labels = (torch.arange(width) * 3 // width).expand(height, width)
    return F.one_hot(labels, 3).permute(2, 0, 1).float(), labels


def test_places_are_unit_rows_and_their_neck_is_the_neck_of_images(student, images):
    x = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    places = student.places(x)
    assert places.shape == (2, 2, 3, 32)
    torch.testing.assert_close(places.norm(dim=-1), torch.ones(2, 2, 3))
    (feature,) = student.features(x)
    torch.testing.assert_close(places[1, 0, 2], student.neck.project(feature[1, :, 0, 2]))
    assert student.places(images).shape == (12, 7, 7, 32)


def test_places_on_several_stages_are_those_of_training(lgd_config, tmp_path):
    places = dict(bank='text', on='places', name='loss_places', student_temperature=0.05, teacher_temperature=0.0125)
    loss = dict(type='mmlgd.DistillationLoss', terms=[dict(bank='text'), places])
    lgd_config.update(loss=loss, places=dict(stages=[0, 1]))
    lgd_config['backbone']['out_indices'] = (2, 3)
    model = MODELS.build(copy.deepcopy(lgd_config)).eval()
    for weight in model.places.parameters():
        torch.nn.init.normal_(weight)
    meta = dict(cfg=Config(dict(default_scope='mmpretrain', model=lgd_config)).pretty_text)
    torch.save(dict(meta=meta, state_dict=model.state_dict()), tmp_path / 'a.pth')
    student, x = mmlgd.Student(tmp_path / 'a.pth', device='cpu'), torch.rand(2, 3, 64, 96)
    assert student.tower.cell == (16, 16)
    with torch.no_grad():
        expected = model.places(model.backbone(x), model.backbone, model.neck, (64, 96))
    torch.testing.assert_close(student.places(x), expected)
    published = mmlgd.publish(tmp_path / 'a.pth', tmp_path / 'zoo', name='dense').file
    torch.testing.assert_close(mmlgd.Student(published, device='cpu').places(x), expected)
    assert len(mmlgd.Student(published, device='cpu', out_indices=(2, 3)).places(x)) == 2
    wider = mmlgd.Student(published, device='cpu', out_indices=(0, 1, 2, 3))  # as a detector has them
    assert len(wider.features(x)) == 4
    torch.testing.assert_close(wider.embed(x), student.embed(x))
    with pytest.raises(ConfigError, match='it has no places. Load it once more without out_indices'):
        wider.places(x)


@pytest.mark.parametrize('shape', [(64, 64), (50, 70), (200, 90)])
@pytest.mark.parametrize('options', [{}, dict(size=64), dict(window=16), dict(size=48, window=24, stride=8)])
def test_labels_have_the_size_of_the_image(shape, options):
    image, labels = flag(*shape)
    found = of_colours(**options).segment(image)
    assert found.labels.shape == found.score.shape == shape and found.labels.dtype == torch.uint8
    assert (found.labels == labels).float().mean() > 0.85  # the borders lie between places


def test_a_score_is_the_softmax_of_upsampled_similarities(student):
    image = torch.rand(3, 224, 256, generator=torch.Generator().manual_seed(0))  # whole places: it is not resized
    (found,) = student.segment(image[None], scores=True)
    logits = (student.places(image[None]) @ student.bank.T / student.temperature).permute(0, 3, 1, 2)
    expected = F.interpolate(logits, (224, 256), mode='bilinear')[0].softmax(dim=0)
    torch.testing.assert_close(found.scores, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.scores.sum(dim=0), torch.ones(224, 256))
    assert torch.equal(found.labels.long(), found.scores.argmax(dim=0))
    torch.testing.assert_close(found.score, found.scores.amax(dim=0))
    assert sum(share for _, share in found.shares()) == pytest.approx(1)


def test_an_image_is_resized_once(student):
    """Also where the sizes of both sides are rounded to whole places."""
    segmenter, rng = student.segmenter(size=150), np.random.default_rng(0)
    for shape in ((206, 429), (100, 215), (77, 333)):
        pixels = torch.from_numpy(rng.integers(0, 256, (1, 3, *shape), dtype=np.uint8))
        inputs = segmenter.prepared(pixels)
        assert segmenter.logits(inputs).shape[-2:] == segmenter.windows.grid_of(shape)
        assert [side % 32 for side in inputs.shape[-2:]] == [0, 0]


def test_bands_of_rows_change_nothing(monkeypatch):
    image, _ = flag(75, 101)
    whole = of_colours().segment(image, scores=True)
    monkeypatch.setattr('mmlgd.student.segment._BAND', 3 * 101 * 7)
    banded = of_colours().segment(image, scores=True)
    assert torch.equal(banded.labels, whole.labels)
    torch.testing.assert_close(banded.scores, whole.scores)


def test_a_uniform_image_has_the_name_of_the_whole(student):
    """Where all places are alike, their scores are those of the image."""
    x = torch.ones(1, 3, 224, 224)
    uniform = torch.zeros_like(student.places(x)) + student.embed(x)[:, None, None]
    segmenter = student.segmenter()
    segmenter.windows.tower = segmenter.windows.tower._replace(encode=lambda _: uniform)
    found = segmenter.segment(x[0], scores=True)
    torch.testing.assert_close(found.scores[:, 3, 5], student.scores(x)[0])


def test_a_pixel_below_the_threshold_has_no_name():
    image, _ = flag(64, 64)
    sure = of_colours().segment(image)
    found = of_colours(background=0.9).segment(image)
    assert torch.equal(found.labels == IGNORED, sure.score < 0.9)
    assert 0 < (found.labels == IGNORED).float().mean() < 1
    assert sum(share for _, share in found.shares()) < 1
    assert (of_colours(background=1.0).segment(torch.rand(3, 64, 64)).labels == IGNORED).all()


def test_images_in_any_form_have_names_at_their_own_size(student, images, tmp_path):
    file = sorted(images.rglob('*.png'))[0]
    array = np.asarray(Image.open(file).convert('RGB'))[..., ::-1]
    big = np.ascontiguousarray(np.kron(array, np.ones((3, 5, 1), dtype=np.uint8)))
    found = student.segment([file, array, big], ['boat', 'dog|cat'])
    assert [tuple(one.labels.shape) for one in found] == [(40, 48), (40, 48), (120, 240)]
    assert torch.equal(found[0].labels, found[1].labels) and found[0].names == ['boat', 'dog|cat']
    (tmp_path / 'a.png').write_bytes(b'no image')
    with pytest.raises(ConfigError, match='a.png cannot be read'):
        student.segment(tmp_path)


@pytest.mark.parametrize(
    'images', [torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 8), torch.zeros(1, 8, 8, 3)]
)
def test_a_tensor_that_is_no_batch_of_normalised_images(student, images):
    with pytest.raises(ConfigError, match='A tensor of images is'):
        student.segment(images)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_tensor_without_an_answer_is_refused(student, value):
    images = torch.zeros(2, 3, 64, 64)
    images[1, 0, 5, 7] = value
    refused = pytest.raises(ConfigError, match='1 of .* values in a tensor of images are NaN or infinite')
    for ask in (student.embed, student.features, student.segment):
        with refused:
            ask(images)
    with refused:
        student.segmenter().segment(images[1])


def test_a_tensor_that_is_infinite_in_the_precision_of_the_weights_is_refused(student):
    with pytest.raises(ConfigError, match='are NaN or infinite as torch.float32'):
        student.embed(torch.full((1, 3, 64, 64), 1e300, dtype=torch.float64))


def test_the_check_of_values_is_no_part_of_a_graph(student):
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    graph = torch.export.export(student, (x,)).module()
    torch.testing.assert_close(graph(x), student(x))


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        torch.zeros(1, 3, 8, 8),
        torch.zeros(3, 8, 8, dtype=torch.uint8),
    ],
)
def test_a_segmenter_takes_one_image_of_colours(image):
    with pytest.raises(ConfigError, match='Expected an array|A tensor of one image'):
        of_colours().segment(image)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(size=0), 'size from 1'),
        (dict(window=-3), 'window from 1'),
        (dict(stride='a'), 'stride'),
        (dict(window=64, stride=65), 'gaps'),
        (dict(stride=32), 'Give a window too, for example 224'),
        (dict(background=1.5), 'background threshold in 0..1'),
        (dict(background=True), 'background threshold in 0..1'),
    ],
)
def test_options_that_cannot_be_used(student, options, message):
    with pytest.raises(ConfigError, match=message):
        student.segment(torch.zeros(1, 3, 64, 64), **options)


def test_too_many_names_for_a_byte(student):
    with pytest.raises(ConfigError, match='at most 255 names'):
        Segmenter(student.tower, torch.zeros(256, 32), list('a' * 256), 0.1, torch.nn.Identity())


def test_a_backbone_alone_has_no_places(lgd_checkpoint, tmp_path):
    content = torch.load(lgd_checkpoint, weights_only=True)
    content['state_dict'] = {k: v for k, v in content['state_dict'].items() if k.startswith('backbone.')}
    torch.save(content, tmp_path / 'a.pth')
    alone = mmlgd.Student(tmp_path / 'a.pth', device='cpu')
    with pytest.raises(CheckpointError, match='no neck'):
        alone.places(torch.zeros(1, 3, 64, 64))
    with pytest.raises(CheckpointError, match='no textual bank'):
        alone.segment(torch.zeros(1, 3, 64, 64))
