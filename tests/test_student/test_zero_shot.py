"""A zero-shot classifier gives what the model of training gives, with its names or with others."""

import copy
import shutil
import sys

import pytest
import torch
from mmengine.config import Config

import mmlgd
from mmlgd.checkpoints import CheckpointError
from mmlgd.checkpoints.words import words_of
from mmlgd.registry import MODELS
from tests.words import KEY


@pytest.fixture
def batch():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_scores_are_those_of_the_trained_model(lgd_checkpoint, lgd_config, batch):
    trained = MODELS.build(lgd_config)
    trained.load_state_dict(torch.load(lgd_checkpoint, weights_only=True)['state_dict'])
    classifier = mmlgd.get_zero_shot_classifier(lgd_checkpoint)
    expected = torch.stack([sample.pred_score for sample in trained.eval().predict(batch)])
    with torch.no_grad():
        torch.testing.assert_close(classifier(batch), expected)
    assert classifier.class_names == trained.class_names
    samples = classifier(batch, mode='predict')
    torch.testing.assert_close(samples[0].pred_label, expected[0].argmax(keepdim=True))


NAMES = dict(bank='text', student_temperature=0.3)
TERMS = [dict(bank='queue', student_temperature=0.05), NAMES]


@pytest.mark.parametrize(
    'loss, temperature',
    [(dict(student_temperature=0.07), 0.07), (dict(type='mmlgd.DistillationLoss', terms=TERMS), 0.3), (None, 0.2)],
)
def test_its_temperature_is_that_of_training(lgd_checkpoint, tmp_path, loss, temperature):
    content = torch.load(lgd_checkpoint, weights_only=True)
    config = Config.fromstring(content['meta']['cfg'], '.py')
    config.model.loss = loss
    content['meta']['cfg'] = config.pretty_text
    torch.save(content, tmp_path / 'a.pth')
    assert mmlgd.get_zero_shot_classifier(tmp_path / 'a.pth').temperature == temperature


def test_a_classifier_needs_no_augmentation(lgd_checkpoint, tmp_path, monkeypatch):
    """It was trained with one; where it classifies, the augmentation's library need not be installed."""
    content = torch.load(lgd_checkpoint, weights_only=True)
    config = Config.fromstring(content['meta']['cfg'], '.py')
    statistics = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], to_rgb=True)
    augmentation = dict(type='mmlgd.MoCoV2Augmentation')
    config.model.data_preprocessor = dict(
        type='mmlgd.PretrainDataPreprocessor', augmentation=augmentation, **statistics
    )
    content['meta']['cfg'] = config.pretty_text
    torch.save(content, tmp_path / 'augmented.pth')
    monkeypatch.setitem(sys.modules, 'kornia', None)
    preprocess = mmlgd.get_zero_shot_classifier(tmp_path / 'augmented.pth').data_preprocessor
    assert preprocess.mean.flatten().tolist() == statistics['mean']
    with pytest.raises(ImportError, match='fast'):
        MODELS.build(dict(augmentation))


def test_other_names_are_embedded_by_the_teacher(lgd_checkpoint, batch, tiny_clip):
    own = mmlgd.get_zero_shot_classifier(lgd_checkpoint)
    teacher = dict(model=tiny_clip)
    new = mmlgd.get_zero_shot_classifier(lgd_checkpoint, vocabulary=['boat', 'dog', 'cat'], teacher=teacher)
    assert new.class_names == ['boat', 'dog', 'cat']
    torch.testing.assert_close(new.bank[[1, 2]], own.bank[[1, 0]])
    assert new(batch).shape == (2, 3)


def test_another_teacher_is_refused(lgd_checkpoint, lgd_model, tmp_path):
    teacher = dict(copy.deepcopy(lgd_model['teacher']), model='RN50', pretrained=None)
    with pytest.raises(ValueError, match='was distilled from the teacher'):
        mmlgd.get_zero_shot_classifier(lgd_checkpoint, ['a', 'b'], teacher=teacher)


def test_a_teacher_of_a_place_is_not_built_unasked(lgd_checkpoint, monkeypatch):
    """Whoever wrote the checkpoint has chosen the folder: it is not even looked at."""
    monkeypatch.setattr('mmlgd.models.teachers.known.build_teacher', lambda *args: pytest.fail('it was built'))
    with pytest.raises(CheckpointError, match=r'epoch_2.pth has a teacher with model=.local-dir.*teacher=dict\(model='):
        mmlgd.get_zero_shot_classifier(lgd_checkpoint, ['a', 'b'])


@pytest.mark.parametrize('changes', [dict(model='another'), dict(old=True)])
def test_the_teacher_may_lie_elsewhere_and_the_checkpoint_be_old(
    changes, lgd_checkpoint, tiny_clip, tmp_path, monkeypatch
):
    content = torch.load(lgd_checkpoint, weights_only=True)
    told = content['state_dict'][KEY] = words_of(content['state_dict'][KEY])  # a dict, as in old files
    *_, weights = told['teacher_id'].split('/')
    if 'old' in changes:  # as version 0.1 wrote it
        told['teacher_id'] = f'open_clip/local-dir:work_dirs/x/openai/{weights}'
    torch.save(content, tmp_path / 'a.pth')
    shutil.copytree(tiny_clip.removeprefix('local-dir:'), tmp_path / 'another')
    monkeypatch.chdir(tmp_path)
    teacher = dict(model='local-dir:another')
    new = mmlgd.get_zero_shot_classifier(tmp_path / 'a.pth', ['cat', 'boat'], teacher=teacher)
    torch.testing.assert_close(new.bank[0], mmlgd.get_zero_shot_classifier(lgd_checkpoint).bank[0])
    settings = Config.fromstring(content['meta']['cfg'], '.py').model
    settings.teacher.update(teacher)
    MODELS.build(settings).load_state_dict(content['state_dict'])  # and training goes on
    told['teacher_id'] = told['teacher_id'].replace(weights, '0' * 16)
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='was distilled from the teacher'):
        mmlgd.get_zero_shot_classifier(tmp_path / 'a.pth', ['cat', 'boat'], teacher=teacher)


def test_a_backbone_alone_cannot_name(lgd_checkpoint, tmp_path):
    checkpoint = torch.load(lgd_checkpoint, weights_only=True)
    checkpoint['state_dict'] = {k: v for k, v in checkpoint['state_dict'].items() if k.startswith('backbone.')}
    torch.save(checkpoint, tmp_path / 'backbone.pth')
    with pytest.raises(CheckpointError, match='no textual bank'):
        mmlgd.get_zero_shot_classifier(tmp_path / 'backbone.pth')


def test_there_is_nothing_to_train(lgd_checkpoint, batch):
    with pytest.raises(ValueError, match='training is'):
        mmlgd.get_zero_shot_classifier(lgd_checkpoint)(batch, mode='loss')
