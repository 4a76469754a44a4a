"""Every classification benchmark takes a student whole, is what its name says, and runs on real image files."""

import copy
import re
from pathlib import Path

import pytest
import torch
import torch.distributed
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS

from mmlgd.checkpoints import read_checkpoint
from mmlgd.checkpoints.starts import start_from
from mmlgd.datasets.variables import choose_arch, fill_in
from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from mmlgd.student.evaluated import use_student_of
from mmlgd.student.image_size import size_evaluation
from tests import ROOT
from tests.our_configs import config_of

CONFIGS = ROOT / 'configs'
FOLDER = CONFIGS / 'benchmarks/classification'
STUDENTS = ('resnet18', 'mobilenetv2')
TRAINED = sorted([*FOLDER.glob('linear_*.py'), *FOLDER.glob('finetune_*.py')])
ZERO_SHOT = sorted(FOLDER.glob('zero-shot_*.py'))
NAME = re.compile(r'(linear|finetune)_(\d)xb(\d+)-(steplr|coslr)-(\d+)e_(\w+)(?:-(\d+)pct)?')
CLASSES = dict(in1k=1000, caltech256=256, folder=3)
TRAINED_AT_64 = dict(dataset=dict(type='mmlgd.Images', view='moco-v2', size=64))


def by_name(path):
    return path.stem


@pytest.fixture(autouse=True)
def scope():
    """mmpretrain's scope, as in a run."""
    before = DefaultScope.get_current_instance()
    init_default_scope('mmpretrain')
    yield
    if before is not None:
        init_default_scope(before.scope_name)


@pytest.fixture(scope='module')
def students(tiny_clip, tmp_path_factory):
    """A checkpoint of LGD training for each student, of full width, by the pre-training configs."""
    folder = tmp_path_factory.mktemp('students')
    paths = {}
    for name in STUDENTS:
        cfg = config_of(CONFIGS / f'_base_/models/lgd_{name}.py')
        text = Config(dict(model=cfg.model.to_dict(), train_dataloader=TRAINED_AT_64)).pretty_text
        cfg.model.teacher = dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip)
        cfg.model.text = dict(vocabulary=['boat', 'hen'], templates='plain')
        torch.manual_seed(1)
        state = MODELS.build(cfg.model).state_dict()
        for key, value in state.items():  # no weight or statistic at a value that a start would give it as well
            if key.startswith('backbone.') and value.is_floating_point():
                state[key] = value + 0.02 * torch.randn_like(value)
        paths[name] = folder / f'{name}.pth'
        torch.save(dict(meta=dict(cfg=text), state_dict=state), paths[name])
    return paths


@pytest.fixture(scope='module')
def data(images, tmp_path_factory):
    """A folder of one's own labelled images, with the names beside them."""
    root = tmp_path_factory.mktemp('data')
    for part in ('train', 'val'):
        (root / part).symlink_to(images)
    (root / 'names.txt').write_text('class0\tcat\nclass1\tdog\nclass2\tred panda\n')
    return root


@pytest.fixture(scope='module')
def labels(images, tmp_path_factory):
    """An annotation file for the images: sets with 1000 or 256 classes take them as well."""
    path = tmp_path_factory.mktemp('labels') / 'ann.txt'
    files = sorted(images.rglob('*.png'))
    path.write_text(''.join(f'{file.relative_to(images).as_posix()} {int(file.stem) % 3}\n' for file in files))
    return path


def parsed(path, student):
    """Read a config and let it have a student."""
    cfg = config_of(path)
    cfg.arch = student
    choose_arch(cfg)
    return cfg


def read(path, student, data, labels):
    """Read a config and let it have a few small images; all else is the config's."""
    cfg = parsed(path, student)
    if 'folder' in path.stem:
        cfg.data_root = str(data)
        if cfg.get('train_dataloader'):
            cfg.train_dataloader.dataset.size = 64
        fill_in(cfg)
        if cfg.get('train_dataloader'):
            size_evaluation(cfg)
    for loader in [cfg[name] for name in ('train_dataloader', 'test_dataloader') if cfg.get(name)]:
        loader.update(num_workers=0, persistent_workers=False, batch_size=6)
        if 'folder' not in path.stem:
            loader.dataset.update(data_root=str(data / 'train'), data_prefix='', ann_file=str(labels))
            loader.dataset.pop('split', None)
            resize = loader.dataset.pipeline[1]
            assert resize.scale == (224 if 'RandomResizedCrop' in resize.type else 256)
            resize.scale = 64
            if 'CenterCrop' in loader.dataset.pipeline[2].type:
                assert loader.dataset.pipeline[2].crop_size == 224
                loader.dataset.pipeline[2].crop_size = 64
    return cfg


def weights_of(checkpoint):
    state = read_checkpoint(checkpoint)['state_dict']
    return {key[len('backbone.') :]: value for key, value in state.items() if key.startswith('backbone.')}


def assert_same(found, expected):
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_there_are_all_benchmarks():
    names = {path.stem for path in TRAINED}
    linear, tuned = 'linear_8xb32-steplr-100e_', 'finetune_8xb32-'
    assert {linear + data for data in ('in1k', 'in1k-1pct', 'in1k-10pct', 'caltech256')} <= names
    assert {f'{tuned}coslr-30e_in1k', f'{tuned}coslr-30e_caltech256'} <= names
    assert {f'{tuned}steplr-20e_in1k-1pct', f'{tuned}steplr-20e_in1k-10pct'} <= names
    assert sum('folder' in name for name in names) == 2
    assert {path.stem for path in ZERO_SHOT} == {f'zero-shot_{data}' for data in CLASSES}


@pytest.mark.parametrize('student', STUDENTS)
@pytest.mark.parametrize('path', TRAINED, ids=by_name)
def test_the_student_is_that_of_pretraining(path, student):
    cfg, pretraining = parsed(path, student), config_of(CONFIGS / f'_base_/models/lgd_{student}.py')
    backbone, theirs = dict(cfg.model.backbone), dict(pretraining.model.backbone)
    init_cfg = backbone.pop('init_cfg')
    assert init_cfg.type == 'Pretrained' and init_cfg.prefix == 'backbone.'
    assert Path(init_cfg.checkpoint).parent.name in {path.stem for path in (CONFIGS / 'lgd').glob('*.py')}
    if 'linear' in path.stem:
        assert backbone.pop('frozen_stages') == dict(resnet18=4, mobilenetv2=7)[student]
        assert backbone.pop('norm_eval') and not theirs.pop('norm_eval', False)
    assert backbone == theirs  # no other activation or width; nothing frozen unless that is the benchmark
    for key in ('mean', 'std', 'to_rgb'):
        assert cfg.model.data_preprocessor[key] == pretraining.model.data_preprocessor[key]


@pytest.mark.parametrize('path', TRAINED, ids=by_name)
def test_a_config_is_what_its_name_says(path):
    kind, cards, batch, schedule, epochs, images, percent = NAME.fullmatch(path.stem).groups()
    cfg = config_of(path)
    if 'names' in cfg:
        cfg.names = ['cat', 'dog', 'red panda']
    fill_in(cfg)
    assert cfg.train_dataloader.batch_size == int(batch)
    assert cfg.auto_scale_lr.base_batch_size == int(cards) * int(batch) == 256
    assert cfg.train_cfg.max_epochs == int(epochs)
    (scheduler,) = cfg.param_scheduler
    assert scheduler.type == dict(steplr='MultiStepLR', coslr='CosineAnnealingLR')[schedule]
    assert cfg.model.head.num_classes == CLASSES[images]
    if kind == 'linear':
        optimizer = cfg.optim_wrapper.optimizer
        assert (optimizer.lr, optimizer.momentum, optimizer.weight_decay) == (30, 0.9, 0)
        assert (scheduler.milestones, scheduler.gamma) == ([60, 80], 0.1)
    if percent:
        assert cfg.train_dataloader.dataset.ann_file == f'meta/train_{percent}percent.txt'
    if kind == 'finetune' and percent:  # the published pairs of backbone and head
        lr = cfg.optim_wrapper.optimizer.lr
        head = lr * cfg.optim_wrapper.paramwise_cfg.custom_keys.head.lr_mult
        assert (lr, head) == dict([('1', (0.02, 5.0)), ('10', (0.01, 0.2))])[percent]


@pytest.mark.parametrize('student', STUDENTS)
@pytest.mark.parametrize('path', TRAINED, ids=by_name)
def test_a_student_loads_whole_and_makes_a_step(path, student, students, data, labels):
    cfg = read(path, student, data, labels)
    checkpoint = students[student]
    own = copy.deepcopy(cfg.model.backbone.init_cfg)
    start_from(cfg, str(checkpoint))
    assert cfg.model.backbone.init_cfg == {**own, 'checkpoint': str(checkpoint)}  # the file is all that changes
    model = MODELS.build(cfg.model)
    model.init_weights()
    expected = weights_of(checkpoint)
    assert_same(model.backbone.state_dict(), expected)

    data = DATASETS.build(cfg.train_dataloader.dataset)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    model.train()
    head = model.head.fc.weight.detach().clone()
    losses = model.train_step(default_collate([data[k] for k in range(4)]), wrapper)
    assert torch.isfinite(losses['loss'])
    if 'linear' in path.stem:
        assert_same(model.backbone.state_dict(), expected)  # statistics, too
    else:
        assert all(value.requires_grad for value in model.backbone.parameters())
        found = model.backbone.state_dict()
        assert not any(torch.equal(found[key], expected[key]) for key in expected if 'running' in key)
    assert not torch.equal(model.head.fc.weight, head)

    samples = DATASETS.build(cfg.test_dataloader.dataset)
    predicted = model.eval().test_step(default_collate([samples[0]]))
    assert predicted[0].pred_score.shape == (cfg.model.head.num_classes,)


@pytest.fixture
def one_rank(tmp_path):
    torch.distributed.init_process_group('gloo', f'file://{tmp_path}/rendezvous', rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('student', STUDENTS)
def test_a_linear_probe_trains_under_ddp(student, one_rank, students, data, labels):
    """MobileNetV2 freezes its stages when training starts: DDP has then counted them already."""
    cfg = read(FOLDER / 'linear_8xb32-steplr-100e_in1k.py', student, data, labels)
    cfg.model.backbone.init_cfg.checkpoint = str(students[student])
    unused = cfg.get('find_unused_parameters', False)
    model = MMDistributedDataParallel(MODELS.build(cfg.model), find_unused_parameters=unused)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    model.train()
    data = DATASETS.build(cfg.train_dataloader.dataset)
    for _ in range(2):  # DDP finds out in the second step
        model.train_step(default_collate([data[0], data[1]]), wrapper)


def evaluate(cfg, tmp_path):
    cfg.work_dir = str(tmp_path)
    cfg.log_level = 'ERROR'
    cfg.experiment_name = tmp_path.name
    runner = Runner.from_cfg(cfg)
    return runner, runner.test()


@pytest.mark.parametrize('student', STUDENTS)
@pytest.mark.parametrize('path', ZERO_SHOT, ids=by_name)
def test_zero_shot_with_names_that_the_student_was_not_trained_with(
    path, student, students, tiny_clip, data, labels, tmp_path
):
    cfg = read(path, student, data, labels)
    use_student_of(cfg, str(students[student]))
    assert ('MobileNet' in cfg.model.backbone.type) == (student == 'mobilenetv2')
    cfg.model.teacher = dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip)
    cfg.model.text.templates = 'plain'
    cfg.test_evaluator = cfg.val_evaluator = [dict(type='Accuracy')]
    cfg.load_from = str(students[student])
    runner, metrics = evaluate(cfg, tmp_path)
    assert set(metrics) == {'accuracy/top1'}
    assert len(runner.model.class_names) == CLASSES[path.stem.split('_')[-1]]
    assert_same(runner.model.backbone.state_dict(), weights_of(students[student]))


def test_a_folder_with_another_number_of_classes_is_refused(data, tmp_path):
    (tmp_path / 'names.txt').write_text('cat\ndog\n')
    cfg = config_of(FOLDER / 'linear_1xb256-steplr-100e_folder.py')
    cfg.data_root, cfg.names = str(data), str(tmp_path / 'names.txt')
    fill_in(cfg)
    assert cfg.model.head.num_classes == 2 and cfg.val_evaluator.topk == (1,)
    with pytest.raises(ConfigError, match='has 3 class folders, but there are 2 class names'):
        DATASETS.build(cfg.train_dataloader.dataset)
