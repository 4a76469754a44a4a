"""One student: what it is read out of its checkpoint, and what it says of images however they are given."""

import numpy as np
import pytest
import torch
from PIL import Image

import mmlgd
from mmlgd.checkpoints import CheckpointError
from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.student.saved import SavedStudent

X = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope='module')
def student(lgd_checkpoint, tiny_clip):
    return mmlgd.Student(lgd_checkpoint, device='cpu', teacher=dict(model=tiny_clip))


def changed(lgd_checkpoint, path, change):
    content = torch.load(lgd_checkpoint, weights_only=True)
    change(content)
    torch.save(content, path)
    return path


def test_it_is_the_student_of_the_run(student, lgd_checkpoint, lgd_config):
    trained = MODELS.build(lgd_config)
    trained.load_state_dict(torch.load(lgd_checkpoint, weights_only=True)['state_dict'])
    trained.eval()
    assert not any(module.training for module in student.modules())
    assert student.names == student.class_names == trained.class_names
    assert student.templates == lgd_config['text']['templates']
    assert student.teacher_id == trained.teacher.identity and student.temperature == 0.2
    with torch.no_grad():
        torch.testing.assert_close(student.features(X)[0], trained.backbone(X)[0])
        torch.testing.assert_close(student.embed(X), trained.neck(trained.backbone(X)))
    torch.testing.assert_close(student.embed(X).norm(dim=1), torch.ones(2))
    expected = torch.stack([sample.pred_score for sample in trained.predict(X)])
    torch.testing.assert_close(student.scores(X), expected)
    torch.testing.assert_close(student(X), expected)


def test_it_reads_images_in_any_form_and_at_its_own_size(student, images):
    assert student.image_size == (224, 224)
    assert [step['type'] for step in student.pipeline][0] == 'mmlgd.LoadImageFromFile'
    folder = student.embed(images)
    assert folder.shape == (12, 32)
    files = sorted(images.rglob('*.png'))
    array = np.asarray(Image.open(files[1]).convert('RGB'))[..., ::-1].copy()  # BGR
    torch.testing.assert_close(student.embed([files[0], array]), folder[:2], atol=1e-5, rtol=0)
    assert student.features(files[0])[0].shape == (1, 64, 7, 7)


def test_an_image_that_cannot_be_read_is_an_error(student, tmp_path):
    (tmp_path / 'a.png').write_bytes(b'no image')
    with pytest.raises(ConfigError, match='a.png cannot be read'):
        student.embed(tmp_path)


def test_other_names_share_its_modules(student):
    new = student.with_names(['boat', 'dog', 'cat'])
    assert new.backbone is student.backbone and len(student.names) == len(student.bank) == 5
    torch.testing.assert_close(new.bank[[1, 2]], student.bank[[1, 0]])
    torch.testing.assert_close(student.scores(X, ['boat', 'dog', 'cat']), new.scores(X))
    assert student.with_names() is student and student.with_names(student.names) is student
    assert new.state_dict().keys() == student.state_dict().keys()


def test_stages_of_the_backbone(lgd_checkpoint):
    student = mmlgd.Student(lgd_checkpoint, out_indices=(0, 3), device='cpu')
    assert [x.shape[1] for x in student.features(X)] == [8, 64] and student.embed(X).shape == (2, 32)
    for stages in ((0,), (3, 0)):  # also where another stage has as many channels, as in a ViT
        with pytest.raises(ConfigError, match='without out_indices'):
            mmlgd.Student(lgd_checkpoint, out_indices=stages, device='cpu').embed(X)


def test_a_backbone_alone_has_features(lgd_checkpoint, tmp_path):
    def keep(content):
        content['state_dict'] = {k: v for k, v in content['state_dict'].items() if k.startswith('backbone.')}

    student = mmlgd.Student(changed(lgd_checkpoint, tmp_path / 'a.pth', keep), device='cpu')
    assert student.names is None and student.features(X)[0].shape == (2, 64, 2, 2)
    with pytest.raises(CheckpointError, match='no neck'):
        student.embed(X)
    for ask in (student.scores, lambda x: student.scores(x, ['a', 'b']), student):
        with pytest.raises(CheckpointError, match='no textual bank'):
            ask(X)


def test_one_without_names_may_have_a_place_in_the_joint_space(lgd_checkpoint, tmp_path, student):
    """As a student of the published code."""

    def no_bank(content):
        content['state_dict'] = {k: v for k, v in content['state_dict'].items() if not k.startswith('textual_bank')}
        content['meta']['cfg'] = content['meta']['cfg'].replace('in_channels=64', 'in_channels=64, out_channels=32')

    other = mmlgd.Student(changed(lgd_checkpoint, tmp_path / 'a.pth', no_bank), device='cpu')
    assert other.bank is None
    torch.testing.assert_close(other.embed(X), student.embed(X))


def test_a_bank_that_cannot_be_read_is_refused_at_once(lgd_checkpoint, tmp_path):
    def no_names(content):
        del content['state_dict']['textual_bank._extra_state']

    with pytest.raises(CheckpointError, match='no readable textual bank'):
        mmlgd.Student(changed(lgd_checkpoint, tmp_path / 'a.pth', no_names), device='cpu')


@pytest.mark.parametrize('temperature', ['0', 'True', "'x'"])
def test_a_temperature_that_is_none_is_refused(temperature, lgd_checkpoint, tmp_path):
    def change(content):
        text = content['meta']['cfg']
        content['meta']['cfg'] = text.replace(
            'model = dict(', f'model = dict(loss=dict(student_temperature={temperature}),'
        )

    with pytest.raises(ConfigError, match='temperature'):
        mmlgd.Student(changed(lgd_checkpoint, tmp_path / 'a.pth', change), device='cpu')


def test_a_file_that_is_read_already_is_not_read_again(lgd_checkpoint, monkeypatch):
    saved = SavedStudent.read(lgd_checkpoint)
    monkeypatch.setattr('mmlgd.student.saved.read_checkpoint', lambda *_: pytest.fail('it was read again'))
    assert saved.has('neck') and not saved.has('head')
    assert mmlgd.Student(saved, device='cpu').source == lgd_checkpoint
