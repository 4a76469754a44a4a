"""The preprocessor is mmpretrain's, and augments batches in training."""

import copy

import pytest
import torch
from mmengine.registry import DefaultScope, init_default_scope
from mmpretrain.models import SelfSupDataPreprocessor
from mmpretrain.structures import DataSample

from mmlgd import MoCoV2Augmentation, PretrainDataPreprocessor
from mmlgd.models.zero_shot import IMAGENET_RGB
from mmlgd.registry import MODELS
from tests.devices import never_waiting, on_card
from tests.pretended_card import CARD, pretended_card

PIXELS = {key: value for key, value in IMAGENET_RGB.items() if key != 'type'}
AUGMENTATION = dict(type='mmlgd.MoCoV2Augmentation')


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return dict(
        inputs=torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=generator),
        data_samples=[DataSample().set_gt_label(k) for k in range(4)],
    )


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('as_list', [True, False])
def test_without_an_augmentation_it_is_mmpretrains(batch, training, as_list):
    if as_list:  # views of an image, as other methods have them
        batch['inputs'] = [batch['inputs'], batch['inputs'].flip(0)]
    expected = SelfSupDataPreprocessor(**PIXELS)(dict(batch), training)
    found = PretrainDataPreprocessor(**PIXELS)(dict(batch), training)
    torch.testing.assert_close(found['inputs'], expected['inputs'], rtol=0, atol=0)
    assert [int(sample.gt_label) for sample in found['data_samples']] == [0, 1, 2, 3] and set(found) == set(expected)


def test_it_augments_in_training_alone(batch):
    preprocess = PretrainDataPreprocessor(augmentation=AUGMENTATION, **PIXELS)
    plain = SelfSupDataPreprocessor(**PIXELS)(dict(batch))
    assert torch.equal(preprocess(dict(batch), training=False)['inputs'], plain['inputs'])
    noise = torch.rand(4, MoCoV2Augmentation.num_noise)
    views = preprocess(dict(batch, augmentation_noise=noise), training=True)
    rgb = batch['inputs'].flip(1) / 255
    mean, std = torch.tensor(PIXELS['mean']).view(3, 1, 1), torch.tensor(PIXELS['std']).view(3, 1, 1)
    expected = (255 * MoCoV2Augmentation()(rgb, noise) - mean) / std
    torch.testing.assert_close(views['inputs'], expected)
    assert set(views) == {'inputs', 'data_samples'}
    assert [int(sample.gt_label) for sample in views['data_samples']] == [0, 1, 2, 3]
    assert not torch.equal(preprocess(dict(batch), training=True)['inputs'], views['inputs'])


@pytest.mark.parametrize(
    'augmentation', [None, dict(AUGMENTATION, jitter_prob=0, gray_prob=0, blur_prob=0, flip_prob=0)]
)
@pytest.mark.parametrize('statistics', [PIXELS, dict(to_rgb=True)], ids=['normalised', 'raw'])
@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32])
def test_an_augmentation_that_does_nothing_is_none(batch, augmentation, statistics, dtype):
    batch['inputs'] = batch['inputs'].to(dtype)
    expected = SelfSupDataPreprocessor(**statistics)(dict(batch), True)
    views = PretrainDataPreprocessor(augmentation=augmentation, **statistics)(dict(batch), True)
    torch.testing.assert_close(views['inputs'], expected['inputs'], rtol=1e-5, atol=1e-5)
    assert views['inputs'].dtype == torch.float32


@pytest.mark.parametrize('training', [True, False])
def test_what_comes_is_handed_along_and_nothing_else(batch, training):
    preprocess = PretrainDataPreprocessor(augmentation=AUGMENTATION, **PIXELS)
    del batch['data_samples']
    assert set(preprocess(batch, training)) == {'inputs'}
    stored = dict(teacher_embeddings=torch.rand(4, 8), teacher_places=torch.rand(4, 2, 2, 8))
    batch.update(augmentation_noise=torch.rand(4, MoCoV2Augmentation.num_noise), **stored)
    kept = dict(batch)
    found = preprocess(batch, training)
    assert set(found) == {'inputs', *stored} and all(torch.equal(found[name], value) for name, value in stored.items())
    assert batch == kept  # the dataloader's dict is not changed


def test_teacher_embeddings_follow_the_device(batch):
    preprocess = PretrainDataPreprocessor(augmentation=AUGMENTATION, **PIXELS).to('meta')
    found = preprocess(dict(inputs=batch['inputs'], teacher_embeddings=torch.rand(4, 8)), False)
    assert found['inputs'].device.type == found['teacher_embeddings'].device.type == 'meta'


def test_refusals(batch):
    with pytest.raises(ValueError, match='to_rgb=True'):
        PretrainDataPreprocessor(augmentation=AUGMENTATION)
    preprocess = PretrainDataPreprocessor(augmentation=AUGMENTATION, **PIXELS)
    with pytest.raises(TypeError, match='got a list.*mmlgd.default_collate'):
        preprocess(dict(batch, inputs=list(batch['inputs'])), training=True)
    with pytest.raises(ValueError, match='no augmentation'):
        PretrainDataPreprocessor(**PIXELS)(dict(batch, augmentation_noise=torch.rand(4, 13)), training=True)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmseg'])
def test_lgd_has_it(lgd_config, batch, scope):
    pytest.importorskip(scope)
    before = DefaultScope.get_current_instance()
    init_default_scope(scope)
    assert isinstance(MODELS.build(copy.deepcopy(lgd_config)).data_preprocessor, PretrainDataPreprocessor)
    config = dict(lgd_config, data_preprocessor=dict(IMAGENET_RGB, type='mmlgd.PretrainDataPreprocessor'))
    config['data_preprocessor']['augmentation'] = AUGMENTATION
    model = MODELS.build(config).train()
    if before is not None:
        init_default_scope(before.scope_name)
    # The views are the augmentation's; the teacher reads the student's statistics to undo them.
    torch.manual_seed(0)
    views = model.data_preprocessor(dict(batch), training=True)
    losses = model(**views, mode='loss')
    assert all(torch.isfinite(value) for value in losses.values())
    assert not any('augmentation' in key for key in model.state_dict())


@pytest.mark.parametrize('augmentation', [None, AUGMENTATION])
@pytest.mark.parametrize('training', [True, False])
def test_a_batch_is_never_waited_for(batch, training, augmentation):
    """mmpretrain's waits twice: for the copy of the images, and for that of a list of channels."""
    pytest.importorskip('kornia', minversion='0.9')
    preprocess = PretrainDataPreprocessor(augmentation=augmentation, **PIXELS)
    stored = dict(teacher_embeddings=torch.rand(4, 8))
    with pretended_card() as card:
        preprocess.to('cuda')
        card.waits.clear()
        views = preprocess(dict(inputs=batch['inputs'], **stored), training)
        assert card.waits == [] and views['inputs'].device == views['teacher_embeddings'].device == CARD


@on_card
def test_the_card_is_never_waited_for(batch, device):
    pytest.importorskip('kornia', minversion='0.9')
    preprocess = PretrainDataPreprocessor(augmentation=AUGMENTATION, **PIXELS).to(device)
    pinned = dict(inputs=batch['inputs'].pin_memory(), teacher_embeddings=torch.rand(4, 8).pin_memory())
    preprocess(pinned, training=True)
    with never_waiting(device):
        views = preprocess(pinned, training=True)
    assert views['inputs'].is_cuda and views['teacher_embeddings'].is_cuda
