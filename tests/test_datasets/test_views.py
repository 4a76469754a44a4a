"""Views by name: the published transforms, one size, and clear errors."""

import pytest
from mmengine.config import Config

from mmlgd.datasets import Images, pipeline_of, view_pipeline
from mmlgd.errors import MMLGDError
from mmlgd.student.image_size import image_size

PUBLISHED = ['NumpyToPIL', 'RandomResizedCrop', 'RandomApply', 'RandomGrayscale', 'PILToNumpy', 'GaussianBlur']


def test_the_published_view():
    steps = view_pipeline('moco-v2')
    kinds = [step['type'].replace('/', '.').split('.')[-1] for step in steps]
    assert kinds == ['LoadImageFromFile', *PUBLISHED, 'RandomFlip', 'PackInputs']
    assert steps[2] == dict(type='mmpretrain.torchvision/RandomResizedCrop', size=224, scale=(0.2, 1.0))
    colour = steps[3]['transforms'][0]
    assert (steps[3]['prob'], colour['brightness'], colour['hue'], steps[4]['p']) == (0.8, 0.4, 0.1, 0.2)
    assert steps[6]['magnitude_range'] == (0.1, 2.0) and steps[6]['prob'] == steps[7]['prob'] == 0.5


@pytest.mark.parametrize('view', ['moco-v2', 'moco-v2-crop', 'crop-flip'])
def test_every_view_has_its_size_and_the_config_says_it(view, images, mmpretrain_scope):
    dataset = dict(data_root=str(images), data_prefix='', with_label=False, view=view, size=48, crop=[0.5, 1])
    assert Images(**dataset)[0]['inputs'].shape == (3, 48, 48)
    assert image_size(dict(train_dataloader=dict(dataset=dataset))) == (48, 48)
    # Out of a checkpoint, too, where mmengine has sorted the keys.
    text = Config(dict(train_dataloader=dict(dataset=dataset))).pretty_text
    assert image_size(Config.fromstring(text, '.py')) == (48, 48)


def test_a_pipeline_takes_the_place_of_a_view(images, mmpretrain_scope):
    steps = [dict(type='mmlgd.LoadImageFromFile'), dict(type='Resize', scale=(32, 32)), dict(type='PackInputs')]
    dataset = dict(data_root=str(images), data_prefix='', with_label=False, view='moco-v2', pipeline=steps)
    assert Images(**dataset)[0]['inputs'].shape == (3, 32, 32)
    assert pipeline_of(dataset) == steps and pipeline_of({}) is None


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(view='moco'), "one of moco-v2, moco-v2-crop, crop-flip, got 'moco'"),
        (dict(view=['moco-v2']), 'A view is one of'),
        (dict(view='moco-v2', size=0), 'from 1 to 4096'),
        (dict(view='moco-v2', size='big'), 'from 1 to 4096'),
        (dict(view='moco-v2', crop=0.2), 'smallest and the largest share'),
        (dict(view='moco-v2', crop=(0.5, 0.2)), 'smallest <= largest'),
        (dict(view='moco-v2', crop=(0, 1)), '0 < smallest'),
    ],
)
def test_unknown_views_are_refused(settings, message):
    with pytest.raises(MMLGDError, match=message):
        pipeline_of(settings)
