"""Whatever a backbone started from: its features, and the joint space where it has one."""

import copy

import pytest
import torch
from mmengine.config import Config

import mmlgd
from mmlgd.evaluation import extract, load_frozen, load_teacher
from mmlgd.registry import MODELS
from mmlgd.student.image_size import reading_pipeline

X = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
RESNET = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)


def test_a_student_has_features_and_a_joint_space(lgd_checkpoint, lgd_model):
    frozen = load_frozen(str(lgd_checkpoint))
    found = frozen(X)
    student = mmlgd.get_student(lgd_checkpoint)
    torch.testing.assert_close(found.features, student(X)[-1].mean(dim=(2, 3)).detach())
    classifier = mmlgd.get_zero_shot_classifier(lgd_checkpoint)
    score = (found.embeddings @ frozen.bank.T / classifier.temperature).softmax(dim=1)
    torch.testing.assert_close(score, classifier(X).detach())
    assert frozen.class_names == lgd_model['text']['vocabulary']


def test_other_names(lgd_checkpoint, tiny_clip):
    teacher = dict(model=tiny_clip)
    assert load_frozen(str(lgd_checkpoint), vocabulary=['cow', 'hen'], teacher=teacher).bank.shape == (2, 32)


def test_a_student_of_the_caller_stays_as_it_was(lgd_checkpoint, tiny_clip):
    student = mmlgd.Student(lgd_checkpoint, device='cpu').train()
    for names in (None, ['cow', 'hen']):
        frozen = load_frozen(student, names, teacher=dict(model=tiny_clip)).to('meta')  # teacher: for this call alone
        assert frozen.bank.shape[0] == (2 if names else 5)
        assert {tensor.device.type for tensor in student.state_dict().values()} == {'cpu'}
        assert student.training and student.backbone.training and len(student.names) == 5
    other = mmlgd.Student(lgd_checkpoint, out_indices=(0,), device='cpu')
    with pytest.raises(ValueError, match='without out_indices'):
        load_frozen(other)


def test_the_teacher_is_that_of_training(lgd_checkpoint, lgd_config, tiny_clip):
    student = load_frozen(str(lgd_checkpoint))
    with pytest.raises(ValueError, match='has a teacher with model=.*--teacher-options model='):
        load_teacher(student)
    found = load_teacher(student, dict(model=tiny_clip))(X)
    torch.testing.assert_close(found.embeddings, MODELS.build(lgd_config).teacher.encode_image(X))
    assert torch.equal(found.features, found.embeddings)
    student.teacher_id = 'open_clip/another'
    with pytest.raises(ValueError, match='open_clip/another.*cannot be compared'):
        load_teacher(student, dict(model=tiny_clip))
    with pytest.raises(ValueError, match='Only a checkpoint of LGD training has a teacher'):
        load_teacher(load_frozen('none', backbone=RESNET))


def test_a_bare_backbone_and_a_random_one(tmp_path):
    weights = MODELS.build(RESNET).state_dict()
    torch.save(weights, tmp_path / 'bare.pth')
    frozen = load_frozen(str(tmp_path / 'bare.pth'), backbone=RESNET)
    assert torch.equal(frozen.backbone.conv1.weight, weights['conv1.weight'])
    assert frozen(X).features.shape == (4, 64) and frozen(X).embeddings is None
    torch.manual_seed(1)
    assert not torch.equal(load_frozen('none', backbone=RESNET).backbone.conv1.weight, weights['conv1.weight'])
    with pytest.raises(ValueError, match='does not define its backbone'):
        load_frozen('none')


def test_another_checkpoint_of_mmengine_brings_its_statistics(tmp_path):
    config = Config(dict(model=dict(backbone=RESNET), data_preprocessor=dict(mean=[0, 0, 0], std=[1, 1, 1])))
    state = {f'backbone.{key}': value for key, value in MODELS.build(RESNET).state_dict().items()}
    torch.save(dict(meta=dict(cfg=config.pretty_text), state_dict=state), tmp_path / 'supervised.pth')
    frozen = load_frozen(str(tmp_path / 'supervised.pth'))
    assert frozen.bank is None
    assert frozen.data_preprocessor.mean.flatten().tolist() == [0, 0, 0]


def test_a_classifier_brings_its_head(tmp_path):
    model = dict(
        type='ImageClassifier',
        backbone=RESNET,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=64),
    )
    classifier = MODELS.build({**copy.deepcopy(model), '_scope_': 'mmpretrain'}).eval()
    path = tmp_path / 'classifier.pth'
    torch.save(dict(meta=dict(cfg=Config(dict(model=model)).pretty_text), state_dict=classifier.state_dict()), path)
    frozen = load_frozen(str(path))
    torch.testing.assert_close(frozen.head(frozen(X).features), classifier(X, mode='tensor'))
    again = load_frozen(mmlgd.Student(path, device='cpu'))
    assert torch.equal(again.head.weight, frozen.head.weight)
    assert again.head_classes is None and frozen.head_classes is None
    content = torch.load(path, weights_only=True)
    content['meta']['dataset_meta'] = dict(classes=('c', 'a', 'b'))  # as mmengine's runner keeps them
    torch.save(content, path)
    assert load_frozen(str(path)).head_classes == ['c', 'a', 'b']
    mmlgd.publish(path, path.parent / 'out', name='a')  # without its head it is still a backbone
    model['neck'] = None  # the features of another classifier are not what its head reads
    torch.save(dict(meta=dict(cfg=Config(dict(model=model)).pretty_text), state_dict=classifier.state_dict()), path)
    assert load_frozen(str(path)).head is None and mmlgd.Student(path, device='cpu').head is None


def test_several_models_see_each_image_once(lgd_checkpoint):
    images = torch.randint(0, 256, (6, 3, 64, 64), dtype=torch.uint8)
    seen = []

    def batches():
        for part in images.split(4):
            seen.append(len(part))
            yield dict(inputs=part, data_samples=[])

    models = dict(student=load_frozen(str(lgd_checkpoint)), random=load_frozen('none', backbone=RESNET))
    found = extract(models, batches())
    assert seen == [4, 2]
    assert found['student'].features.shape == found['random'].features.shape == (6, 64)
    assert found['student'].embeddings.shape == (6, 32) and found['random'].embeddings is None
    again = extract(models, [dict(inputs=images, data_samples=[])])
    torch.testing.assert_close(found['student'].features, again['student'].features, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match='no images'):
        extract(models, [])


def test_images_are_prepared_as_in_training():
    pipeline = [dict(type='mmlgd.LoadImageFromFile'), dict(type='mmpretrain.PackInputs')]
    for load in ('LoadImageFromFile', 'mmlgd.LoadImageFromFile'):  # mmcv's own may take half an image for a whole one
        config = Config(dict(test_dataloader=dict(dataset=dict(pipeline=[dict(type=load), pipeline[1]]))))
        assert reading_pipeline(config, default=[]) == pipeline
    theirs = [dict(type='LoadImageFromFile', imdecode_backend='pillow'), pipeline[1]]
    assert reading_pipeline(Config(dict(test_dataloader=dict(dataset=dict(pipeline=theirs)))), default=[]) == theirs
    default = [dict(type='mmpretrain.PackInputs')]
    assert reading_pipeline(Config(dict(test_dataloader=None)), default) == pipeline == reading_pipeline(None, default)
