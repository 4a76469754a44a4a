"""One student: what it is read out of its checkpoint, and what it says of images however they are given."""

import random

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

import mmlgd
from mmlgd.checkpoints import CheckpointError
from mmlgd.errors import ConfigError, MMLGDError
from mmlgd.registry import MODELS
from mmlgd.student.saved import SavedStudent
from mmlgd.text import TemplateError
from tests.shards import pack

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


def test_it_reads_shards(student, images, tmp_path):
    files = sorted(images.rglob('*.png'))
    pack(tmp_path / 'x-0.tar', {f'{k}.png': file.read_bytes() for k, file in enumerate(files[:2])})
    pack(tmp_path / 'x-1.tar', {'2.png': files[2].read_bytes(), '2.txt': b'a caption'})
    for given in (tmp_path, tmp_path / 'x-{0..1}.tar', [str(tmp_path / 'x-0.tar'), files[2]]):
        torch.testing.assert_close(student.embed(given), student.embed(files[:3]))
    with pytest.raises(MMLGDError, match='1 of 3 shards'):
        student.embed(tmp_path / 'x-{0..2}.tar')


def test_an_image_that_cannot_be_read_is_an_error(student, tmp_path):
    (tmp_path / 'a.png').write_bytes(b'no image')
    with pytest.raises(ConfigError, match='a.png cannot be read'):
        student.embed(tmp_path)


def test_other_names_leave_it_as_it_was(student):
    new = student.with_names(['boat', 'dog', 'cat'])
    assert len(student.names) == len(student.bank) == 5
    assert not {p.data_ptr() for p in new.parameters()} & {p.data_ptr() for p in student.parameters()}
    torch.testing.assert_close(new.bank[[1, 2]], student.bank[[1, 0]])
    torch.testing.assert_close(student.scores(X, ['boat', 'dog', 'cat']), new.scores(X))
    assert student.with_names() is student and student.with_names(student.names) is student
    assert new.state_dict().keys() == student.state_dict().keys()


def test_some_of_its_own_names_need_no_teacher(student, monkeypatch):
    expected = student.bank.clone()
    some = [student.names[3], student.names[0]]
    monkeypatch.setattr('mmlgd.student.student.build_live_teacher', None)
    found = student.with_names(some)
    assert found.names == some and torch.equal(found.bank, expected[[3, 0]])
    assert torch.equal(student.bank, expected) and len(student.names) == 5
    for names, templates in ((some, 'plain'), ([*some, 'boat'], None)):  # other templates, or another name among them
        with pytest.raises(TypeError):
            student.with_names(names, templates)


def test_names_are_a_file_a_set_or_a_list_wherever_they_are_given(student, lgd_checkpoint, tiny_clip, tmp_path, images):
    (tmp_path / 'boat.txt').write_text('boat\ncat\n')
    one = student.with_names(['boat'])  # a list is never a file
    assert one.names == ['boat'] and one.scores(X).tolist() == [[1.0], [1.0]]
    assert student.with_names(tmp_path / 'boat.txt').names == ['boat', 'cat']
    options = dict(teacher_options=dict(model=tiny_clip), device='cpu')
    (result,) = mmlgd.predict(lgd_checkpoint, images / 'class0/0.png', names=['boat'], **options)
    assert result['names'] == [('boat', 1.0)]
    inferencer = mmlgd.ZeroShotInferencer(lgd_checkpoint, ('boat', 'cat'), teacher=dict(model=tiny_clip), device='cpu')
    assert inferencer.classes == ['boat', 'cat']


@pytest.mark.parametrize('none', [[], (), '', dict(union=[])])
def test_no_names_are_not_those_of_training(student, lgd_checkpoint, images, tmp_path, none):
    calls = [
        lambda: student.with_names(none),
        lambda: student.scores(X, none),
        lambda: mmlgd.predict(lgd_checkpoint, images, names=none),
        lambda: mmlgd.ZeroShotInferencer(lgd_checkpoint, none),
        lambda: mmlgd.evaluate(lgd_checkpoint, data=images, names=none, out=tmp_path),
        lambda: mmlgd.draw_neighbours(lgd_checkpoint, images, names=none, out=tmp_path / 'a.png'),
        lambda: mmlgd.study(variants=['a=a.py'], data=images, names=none, work_dir=tmp_path),
        lambda: mmlgd.export(lgd_checkpoint, tmp_path / 'a.onnx', to='onnx', names=none, part='zero-shot'),
        lambda: mmlgd.export(lgd_checkpoint, tmp_path / 'a.onnx', to='onnx', names=none),
    ]
    for call in calls:
        with pytest.raises(MMLGDError, match='holds no names|neither a file nor|are for the part|takes a text file'):
            call()
    with pytest.raises(TemplateError, match='is empty'):
        student.with_names(templates=[])


def test_stages_of_the_backbone(lgd_checkpoint):
    student = mmlgd.Student(lgd_checkpoint, out_indices=(0, 3), device='cpu')
    assert [x.shape[1] for x in student.features(X)] == [8, 64] and student.embed(X).shape == (2, 32)
    for stages in ((0,), (0, 2)):
        with pytest.raises(ConfigError, match='without out_indices'):
            mmlgd.Student(lgd_checkpoint, out_indices=stages, device='cpu').embed(X)


@pytest.mark.parametrize(
    'backbone, width, trained, last, other',
    [
        (dict(type='VisionTransformer', arch='deit-t', img_size=32, out_type='avg_featmap'), 192, -1, (11, 3), (3, 10)),
        (dict(type='TIMMBackbone', model_name='resnet10t', features_only=True), 512, [4], (1, 4), (4, 3, 2)),
    ],
)
def test_the_last_stage_is_known_however_it_is_written(tmp_path, backbone, width, trained, last, other):
    settings = dict(backbone, _scope_='mmpretrain', out_indices=trained)
    weights = {f'backbone.{k}': v for k, v in MODELS.build(dict(settings)).state_dict().items()}
    neck = MODELS.build(dict(type='mmlgd.ProjectionNeck', in_channels=width, out_channels=8))
    weights.update({f'neck.{k}': v for k, v in neck.state_dict().items()})
    data = dict(test_dataloader=dict(dataset=dict(pipeline=[dict(type='Resize', scale=(32, 32))])))
    model = dict(backbone=settings, neck=dict(type='mmlgd.ProjectionNeck', out_channels=8))
    text = Config(dict(model=model, **data)).pretty_text
    torch.save(dict(meta=dict(cfg=text), state_dict=weights), tmp_path / 'a.pth')
    student = mmlgd.Student(tmp_path / 'a.pth', out_indices=last, device='cpu')
    x = X[..., :32, :32]
    torch.testing.assert_close(student.embed(x), mmlgd.Student(tmp_path / 'a.pth', device='cpu').embed(x))
    changed = mmlgd.Student(tmp_path / 'a.pth', out_indices=other, device='cpu')
    if other[0] == 4:  # features come in the order of the network
        torch.testing.assert_close(changed.embed(x), student.embed(x))
    else:
        with pytest.raises(ConfigError, match='without out_indices'):
            changed.embed(x)


def test_a_tensor_is_images_or_refused(student):
    torch.testing.assert_close(student.embed(X.double()), student.embed(X))
    for bad in (X[0], X[:, :1], X[:0], X[..., :0], X.mul(255).byte(), X.long(), X > 0.5, X[None]):
        for ask in (student.embed, student.features, student.scores, student):
            with pytest.raises(ConfigError, match=r'\(N, 3, height, width\).*got shape'):
                ask(bad)


def test_an_array_is_pixels_or_refused(student):
    bad = [np.zeros((0, 5, 3), np.uint8), *(np.zeros((8, 8, 3), kind) for kind in (float, bool, np.int64))]
    for array in bad:
        for ask in (student.embed, student.features, student.scores):
            with pytest.raises(ConfigError, match='of uint8.*got shape'):
                ask(array)


def test_features_of_several_sizes_are_refused(lgd_checkpoint, tmp_path):
    def keep_sizes(content):
        data = Config(dict(test_dataloader=dict(dataset=dict(pipeline=[dict(type='PackInputs')]))))
        content['meta']['cfg'] += data.pretty_text

    other = mmlgd.Student(changed(lgd_checkpoint, tmp_path / 'a.pth', keep_sizes), device='cpu')
    pixels = [np.zeros((64, side, 3), np.uint8) for side in (64, 96)]
    with DefaultScope.overwrite_default_scope('mmdet'):  # of the host; the transform has no scope
        assert other.embed(pixels).shape == (2, 32)
    with pytest.raises(ConfigError, match='one tensor cannot hold'):
        other.features(pixels)


def test_a_student_is_taken_for_its_checkpoint_or_refused(student, images, tmp_path):
    (result,) = mmlgd.predict(student, images / 'class0/0.png', device='cpu')
    names, scores = zip(*result['names'])
    expected = dict(zip(student.names, student.scores(images / 'class0/0.png')[0].tolist()))
    assert list(scores) == pytest.approx([expected[name] for name in names])
    inferencer = mmlgd.ZeroShotInferencer(student, ['boat', 'cat'], device='cpu')
    assert inferencer.classes == ['boat', 'cat'] and len(student.names) == 5 and not hasattr(student, '_config')
    calls = [
        lambda: mmlgd.export(student, tmp_path / 'a.pth', to='mmdet'),
        lambda: mmlgd.publish(student, tmp_path),
        lambda: mmlgd.convert(student, tmp_path / 'a.pth'),
        lambda: mmlgd.draw_banks(student, out_dir=tmp_path),
        lambda: mmlgd.draw_neighbours(student, images, out=tmp_path / 'a.png'),
        lambda: mmlgd.Student(student),
        lambda: mmlgd.test(Config(dict(model=dict(type='A'))), student, work_dir=tmp_path),
        lambda: mmlgd.train(Config(dict(model=dict(type='A'))), student=student, work_dir=tmp_path),
    ]
    for call in calls:
        with pytest.raises(CheckpointError, match='is a file or a URL, got a Student.*its .source'):
            call()


def random_state():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


@pytest.mark.filterwarnings('ignore')
def test_the_random_numbers_of_the_caller_stay(lgd_checkpoint, tiny_clip, images, tmp_path):
    teacher = dict(model=tiny_clip)
    names = dict(names=['boat', 'cat'], teacher_options=teacher)
    uses = [
        lambda: mmlgd.Student(lgd_checkpoint, out_indices=(0, 3)).embed(images),
        lambda: mmlgd.Student(lgd_checkpoint, teacher=teacher).scores(X, ['boat', 'cat']),
        lambda: mmlgd.get_student(lgd_checkpoint),
        lambda: mmlgd.predict(lgd_checkpoint, images, **names),
        lambda: mmlgd.export(lgd_checkpoint, tmp_path / 'a.pth', to='mmdet'),
        lambda: mmlgd.draw_neighbours(lgd_checkpoint, images, out=tmp_path / 'a.png', **names),
    ]
    for use in uses:
        before = random_state()
        use()
        assert random_state() == before


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


@pytest.mark.parametrize('build', [mmlgd.get_student, mmlgd.Student])
def test_stages_that_a_backbone_ignores_are_refused(build, lgd_checkpoint):
    with pytest.raises(ConfigError, match=r'out_indices=\(-1,\) names 1 stages, but a ResNet returns 0'):
        build(lgd_checkpoint, out_indices=(-1,))


def test_settings_of_a_teacher_are_a_dict(student):
    with pytest.raises(ConfigError, match='as a dict, .*got x'):
        student.with_names(['boat', 'hen'], teacher='x')


def test_a_student_in_half_precision_answers_in_float32(lgd_checkpoint):
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    full, half = mmlgd.Student(lgd_checkpoint, device='cpu'), mmlgd.Student(lgd_checkpoint, device='cpu').bfloat16()
    for of in ('embed', 'scores', 'places'):
        torch.testing.assert_close(getattr(half, of)(image), getattr(full, of)(image), rtol=0, atol=0.05)
    torch.testing.assert_close(half(torch.ones(1, 3, 64, 64)), full(torch.ones(1, 3, 64, 64)), rtol=0, atol=0.05)
    assert half.segmenter().segment(image).labels.shape == (64, 64)
