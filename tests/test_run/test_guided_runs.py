"""Runs with a teacher that stays on: on one process and on two, stopped and resumed, evaluated without the teacher."""

import pytest
import torch
from click.testing import CliRunner
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import mmlgd
from mmlgd.checkpoints import read_checkpoint
from mmlgd.checkpoints.configs import model_config
from mmlgd.checkpoints.files import CheckpointError
from mmlgd.cli.__main__ import main
from mmlgd.demo import write_demo_world
from mmlgd.engine import NonFiniteError
from mmlgd.engine.numerics.step_record import StepRecord
from mmlgd.errors import ConfigError
from mmlgd.models.embedded import Embedded
from mmlgd.models.guided import Guided, unguided
from mmlgd.run.guiding import add_guide, guide_settings
from mmlgd.run.looks import settle_statistics
from mmlgd.run.train_options import train_config
from mmlgd.utils.configs import read_config
from tests import ROOT
from tests.children import in_one_worker, outcomes
from tests.test_models.test_guided.models import CLASSES, batch_of, guided, settings_of


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp('guided') / 'world'
    write_demo_world(root, num_objects=(10, 10), num_scenes=(16, 10))
    return root


@pytest.fixture
def detector(world, tmp_path):
    """The demo's detector for a few steps of 4 images, with a seed for each epoch."""
    pytest.importorskip('mmdet')
    cfg = read_config(ROOT / 'configs/demo/detector_resnet18-tiny_demo.py')
    cfg.merge_from_dict(
        {
            'data_root': str(world),
            'model.backbone.init_cfg': None,
            'train_dataloader.batch_size': 4,
            'default_hooks.logger.interval': 1,
            'default_hooks.checkpoint': dict(type='CheckpointHook', interval=1, by_epoch=True),
            'default_hooks.sampler_seed': dict(type='mmlgd.EpochSeedHook'),
            'param_scheduler': [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4)],
            'log_processor.by_epoch': True,
            'randomness': dict(seed=0),
        }
    )
    cfg.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=True)
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=2)
    cfg.work_dir = str(tmp_path / 'run')
    return cfg


@pytest.fixture
def teacher(tiny_clip):
    return dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip)


def plain_text():
    return {'model.guide.text.templates': 'plain', 'model.guide.fade': 0.5}


def test_a_run_is_resumed_as_if_it_had_not_stopped(detector, teacher, tmp_path):
    guide = dict(guide=teacher, cfg_options=plain_text())
    whole = mmlgd.train(detector, work_dir=tmp_path / 'whole', **guide)
    assert {'guide.loss_place_cosine', 'guide.loss_place_textual'} < set(whole.losses)
    assert 'coco/bbox_mAP' in whole.metrics
    first = read_checkpoint(tmp_path / 'whole/epoch_1.pth')
    assert not [key for key in first['state_dict'] if 'guide' in key]
    assert {'projection.mlp.0.weight', 'weighing.averages'} < set(first['guide'])

    again = mmlgd.train(detector, work_dir=tmp_path / 'again', resume=tmp_path / 'whole/epoch_1.pth', **guide)
    ours, theirs = (read_checkpoint(result.checkpoint) for result in (again, whole))
    for part in ('state_dict', 'guide'):
        assert all(torch.equal(value, theirs[part][key]) for key, value in ours[part].items())
    assert again.losses == whole.losses

    # Its weights are those of the plain config, which evaluates and trains on from them; so does its own.
    detector.work_dir = str(tmp_path / 'test')
    detector.test_dataloader, detector.test_evaluator, detector.test_cfg = (
        detector.val_dataloader,
        detector.val_evaluator,
        dict(),
    )
    with_guide = train_config(detector, guide=teacher, cfg_options=plain_text())
    assert with_guide.model.type == 'mmlgd.Guided'
    found = [mmlgd.test(cfg, whole.checkpoint) for cfg in (detector, with_guide)]
    assert found[0] == found[1] == whole.metrics
    other = dict(cfg_options={**plain_text(), 'model.guide.teacher.places_size': 128}, work_dir=tmp_path / 'other')
    with pytest.raises(CheckpointError, match='was guided by the teacher open_clip/.*this run has open_clip/'):
        mmlgd.train(detector, guide=teacher, resume=tmp_path / 'whole/epoch_1.pth', **other)
    theirs['guide_feature'] = 'neck, level 0'
    torch.save(theirs, tmp_path / 'of_neck.pth')
    with pytest.raises(CheckpointError, match='compares neck, level 0, and this run backbone, level -1'):
        mmlgd.train(detector, work_dir=tmp_path / 'other', resume=tmp_path / 'of_neck.pth', **guide)
    with pytest.raises(CheckpointError, match='has no guide'):
        del theirs['guide']
        torch.save(theirs, tmp_path / 'without.pth')
        mmlgd.train(
            detector,
            guide=teacher,
            cfg_options=plain_text(),
            work_dir=tmp_path / 'not',
            resume=tmp_path / 'without.pth',
        )


def test_the_statistics_of_looks_come_from_the_training_images(detector, teacher):
    looks = dict(backbone='timm:resnet18', weights=False, image_size=64)
    pair = dict(type='mmlgd.TeacherPair', words=teacher, looks=looks)
    sizes = dict(type='BatchSyncRandomResize', random_size_range=(96, 160), size_divisor=32, interval=1)  # as RTMDet's
    detector.model.data_preprocessor.batch_augments = [sizes]
    result = mmlgd.train(detector, guide=pair, cfg_options=plain_text(), no_validate=True)
    settings = model_config(read_checkpoint(result.checkpoint))['model']['guide']['teacher']
    assert settings['looks']['statistics'] and result.losses['guide.loss_place_cosine'] > 0


def test_the_statistics_of_looks_of_a_classifier(world, teacher):
    """Its preprocessor has no type, as in mmpretrain's configs, and mixes images."""
    pipeline = [dict(type='LoadImageFromFile'), dict(type='CenterCrop', crop_size=64), dict(type='PackInputs')]
    looks = dict(backbone='timm:resnet18', weights=False, image_size=64)
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            model=settings_of('classifier'),
            data_preprocessor=dict(num_classes=3, mean=[120.0] * 3, std=[60.0] * 3, to_rgb=True),
            train_dataloader=dict(
                dataset=dict(type='CustomDataset', data_prefix=str(world), pipeline=pipeline, with_label=False)
            ),
        )
    )
    del cfg.model.data_preprocessor
    cfg.data_preprocessor.batch_augments = dict(augments=[dict(type='Mixup', alpha=0.8)])
    add_guide(cfg, dict(type='mmlgd.TeacherPair', words=teacher, looks=looks))
    settle_statistics(cfg)
    assert cfg.model.guide.teacher.looks.statistics


def test_names_of_another_number_are_refused_before_the_first_step(detector, teacher):
    with pytest.raises(ConfigError, match='80 names and .* classes'):
        mmlgd.train(detector, guide=teacher, names='coco', no_validate=True)


def test_a_broken_step_stops_the_run_and_names_the_images(detector, teacher, monkeypatch):
    forward = mmlgd.models.teachers.base.BaseTeacher.encode
    monkeypatch.setattr(
        mmlgd.models.teachers.base.BaseTeacher,
        'encode',
        lambda self, images, places=False: forward(self, images * float('nan'), places),
    )
    with pytest.raises(NonFiniteError, match=r'Step 1 .*teacher.*open_clip/.*4 of 4 images \(.*world'):
        mmlgd.train(detector, guide=teacher, cfg_options=plain_text(), no_validate=True)


def test_options_wrap_a_config(detector, teacher, monkeypatch):
    before = train_config(detector).model
    cfg = train_config(detector, guide=teacher, names=['a', 'b'], cfg_options={'model.guide.share': 0.1})
    assert unguided(cfg.model) == before
    assert cfg.model.guide == dict(teacher=teacher, text=dict(vocabulary=['a', 'b']), share=0.1)
    assert cfg.train_dataloader.dataset.pipeline[0].type == 'mmlgd.LoadImageFromFile'
    assert cfg.val_dataloader.dataset.pipeline[0].type == 'LoadImageFromFile'
    assert cfg.default_hooks.guide.type == 'mmlgd.GuideHook' and 'mmlgd' in cfg.custom_imports.imports
    changed = train_config(detector, guide=teacher, cfg_options={'model.guide.teacher.places_size': 128})
    assert changed.model.guide.teacher == dict(teacher, places_size=128)
    assert train_config(cfg, names=['b', 'a']).model.guide.text.vocabulary == ['b', 'a']
    assert guide_settings('RN50+similarity:timm:resnet18') == dict(
        type='mmlgd.TeacherPair',
        words=dict(type='mmlgd.OpenCLIPTeacher', model='RN50', pretrained='openai'),
        looks='similarity:timm:resnet18',
    )
    # A config with a guide reads images in the same way; a loader that the user has chosen stays as it is.
    guide_inside, own = read_config(cfg), read_config(cfg)
    guide_inside.train_dataloader.dataset.pipeline[0] = dict(type='LoadImageFromFile')
    assert train_config(guide_inside).train_dataloader.dataset.pipeline[0] == cfg.train_dataloader.dataset.pipeline[0]
    last = dict(type='PipelineSwitchHook', switch_epoch=1, switch_pipeline=[dict(type='LoadImageFromFile')])
    guide_inside.custom_hooks = [last]  # RTMDet's last epochs
    switched = train_config(guide_inside).custom_hooks[0].switch_pipeline
    assert switched[0] == cfg.train_dataloader.dataset.pipeline[0]
    skipping = dict(type='mmlgd.LoadImageFromFile', like_mmcv=True, bad_images='skip')
    given = {f'train_dataloader.dataset.pipeline.0.{key}': value for key, value in skipping.items()}
    assert train_config(detector, guide=teacher, cfg_options=given).train_dataloader.dataset.pipeline[0] == skipping
    own.train_dataloader.dataset.pipeline[0] = dict(type='mmlgd.LoadImageFromFile')
    assert train_config(own).train_dataloader.dataset.pipeline[0] == dict(type='mmlgd.LoadImageFromFile')
    other = dict(type='mmocr.LoadImageFromFile')  # of another library
    own.train_dataloader.dataset.pipeline[0] = other
    assert train_config(own).train_dataloader.dataset.pipeline[0] == other
    detector.custom_imports = dict(imports='json')  # a text is one module for mmengine
    assert train_config(detector, guide=teacher).custom_imports.imports == ['json', 'mmlgd']
    with pytest.raises(ConfigError, match='trains a .*leave --store out'):
        train_config(detector, guide=teacher, store='store')
    assert train_config(detector, guide=teacher, names=['cell']).model.guide.text.vocabulary == ['cell']
    with pytest.raises(ConfigError, match='--guide conse'):
        train_config(detector, names=['a', 'b'])
    with pytest.raises(ConfigError, match="model.guide has {'share': 0.5} and no model to guide.*--guide conse"):
        train_config(detector, cfg_options={'model.guide.share': 0.5})
    with pytest.raises(ConfigError, match='model.guide has conse and no model to guide'):
        train_config(detector, cfg_options={'model.guide': 'conse'})
    with pytest.raises(ConfigError, match='has no type'):
        add_guide(Config(dict(model=dict(depth=18))), 'conse')
    with pytest.raises(ConfigError, match='pre-training, which has its teacher already'):
        train_config('mmlgd::lgd/lgd_resnet18_1xb256-coslr-200e_images.py', guide=teacher)
    seen = []
    monkeypatch.setattr('mmlgd.run.train_options.train_config', lambda **options: seen.append(options) or 1 / 0)
    CliRunner().invoke(main, ['train', 'x.py', '--guide', 'conse', '--names', 'coco'])
    assert (seen[0]['guide'], seen[0]['names']) == ('conse', 'coco')


def test_a_lazy_config_takes_a_guide(teacher, tmp_path):
    """Its text, which runs and checkpoints keep, has the classes as their paths."""
    head = 'model = dict(type=ImageClassifier, backbone=dict(type=ResNet, depth=18), head=dict(type=LinearClsHead))'
    data = "train_dataloader = dict(dataset=dict(type='CustomDataset', data_root='x', pipeline=[]))"
    file = tmp_path / 'lazy.py'
    file.write_text(f'from mmpretrain.models import ImageClassifier, LinearClsHead, ResNet\n\n{head}\n{data}\n')
    told = model_config(dict(meta=dict(cfg=train_config(file, guide=teacher).pretty_text))).model
    assert (told.type, told.plain) == ('mmlgd.Guided', 'mmpretrain.models.ImageClassifier')
    file.write_text(
        'from mmpretrain.models import ImageClassifier\nfrom mmlgd.models import Guided\n\n'
        "model = dict(type=Guided, plain=ImageClassifier, guide=dict(teacher=dict(type='mmlgd.ConSETeacher')))\n"
    )
    assert unguided(read_config(file).model) == dict(type='mmpretrain.models.ImageClassifier')
    assert Guided.__new__(Guided, told.plain).__class__.__mro__[2].__name__ == 'ImageClassifier'


def steps_on_ranks(folder, teacher):
    """Two steps of a detector, each rank with images of its own; what must be equal on both."""
    init_default_scope('mmdet')
    torch.manual_seed(get_rank())
    model = MMDistributedDataParallel(guided(settings_of('retinanet'), teacher))  # without find_unused_parameters
    Runner._init_model_weights(type('Run', (), dict(model=model)))
    plain = model.module
    weights, start = [], plain.guide.saved()
    for step in range(2):
        model.zero_grad()
        data = plain.data_preprocessor(batch_of('retinanet', seed=2 * step + get_rank()), True)
        losses = model(**data, mode='loss')
        plain.parse_losses(losses)[0].backward()
        weights.append(losses['guide.weight'])
    gradients = {name: p.grad for name, p in plain.named_parameters() if p.grad is not None}
    return dict(weights=torch.stack(weights), start=start, gradients=gradients, broken=broken_on_ranks(plain))


def broken_on_ranks(model):
    """A step in which one rank has no loss of a part, as a rank without boxes may have none."""
    record = StepRecord(model.guide)
    record.start(epoch=0, batch=0, iter=0)
    losses = dict(loss_cls=torch.tensor(1.0), **({'loss_grid': torch.tensor(torch.nan)} if get_rank() == 0 else {}))
    record.see_outputs(Embedded(torch.eye(2)), Embedded(torch.eye(2)), losses)
    record.finish()
    return record.broken()


@in_one_worker
def test_two_processes_have_one_weight_and_one_gradient(tmp_path, teacher):
    pytest.importorskip('mmdet')
    first, second = outcomes(steps_on_ranks, tmp_path / 'ranks', teacher)
    assert isinstance(first, dict) and isinstance(second, dict), (first, second)
    assert torch.equal(first['weights'], second['weights'])
    assert any(name.startswith('guide.') for name in first['gradients'])
    assert (first['broken'], second['broken']) == ((['loss_grid'], ['loss_grid']), ([], ['any_loss']))
    for part in ('start', 'gradients'):
        assert all(torch.equal(value, second[part][name]) for name, value in first[part].items())


def test_focus_draws_places_on_objects(teacher):
    pytest.importorskip('mmdet')
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model, seen = guided(settings_of('retinanet'), teacher, focus='objects').train(), []
    model.guide.criterion.register_forward_hook(lambda module, args, losses: seen.append(args[1]))
    data = model.data_preprocessor(batch_of('retinanet'), True)
    assert model(**data, mode='loss')['guide.loss_place_cosine'].isfinite()
    drawn = seen[0]
    there = drawn.places.new_zeros(drawn.places.shape[:3]).flatten()
    there[drawn.rows] = 1
    assert len(drawn.rows) == 1024 and there.sum() <= len(there) and model.guide.class_names == CLASSES


def test_averaged_weights_are_those_of_the_plain_model(detector, teacher, tmp_path):
    detector.custom_hooks = [dict(type='mmlgd.EMAHook', momentum=0.1)]
    guide = dict(guide=teacher, cfg_options=plain_text(), no_validate=True)
    whole = mmlgd.train(detector, work_dir=tmp_path / 'whole', **guide)
    again = mmlgd.train(detector, work_dir=tmp_path / 'again', resume=tmp_path / 'whole/epoch_1.pth', **guide)
    ours, theirs = (read_checkpoint(result.checkpoint) for result in (again, whole))
    assert not [key for key in theirs['ema_state_dict'] if 'guide' in key]
    for part in ('state_dict', 'ema_state_dict', 'guide'):
        assert all(torch.equal(value, theirs[part][key]) for key, value in ours[part].items())
