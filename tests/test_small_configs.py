"""The configs for a CPU fit each other: the narrow student that is pre-trained is the one that detects and segments."""

import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, PARAM_SCHEDULERS, DefaultScope, init_default_scope

from mmlgd.checkpoints import read_checkpoint
from mmlgd.checkpoints.starts import start_from
from mmlgd.datasets.variables import choose_arch, fill_in
from mmlgd.registry import MODELS
from mmlgd.run.rates import refuse_overridden_rates
from tests import ROOT
from tests.our_configs import config_of

from .test_benchmark_configs import losses_of

SMALL = ROOT / 'configs/small'
PRETRAINING = sorted([*SMALL.glob('lgd_*.py'), *SMALL.glob('dense_*.py')])
BASELINES = sorted(SMALL.glob('baselines/*.py'))
DOWNSTREAM = sorted(path for path in SMALL.glob('*.py') if path not in PRETRAINING)


@pytest.fixture(autouse=True)
def scope():
    before = DefaultScope.get_current_instance()
    yield
    if before is not None:
        init_default_scope(before.scope_name)


@pytest.fixture(scope='session')
def student(tmp_path_factory):
    cfg = config_of(SMALL / 'lgd_resnet18-half_tiny-imagenet.py')
    choose_arch(cfg)
    backbone = MODELS.build(cfg.model.backbone)
    path = tmp_path_factory.mktemp('half') / 'epoch_16.pth'
    torch.save(dict(state_dict={f'backbone.{key}': value for key, value in backbone.state_dict().items()}), path)
    return path


@pytest.mark.parametrize('arch', ['resnet18', 'lite0'])
@pytest.mark.parametrize('path', DOWNSTREAM, ids=lambda p: p.stem)
def test_a_student_detects_and_segments(path, arch, student):
    config = config_of(path)
    config.arch = arch
    if 'names' in config:  # of one's own data
        config.names = ['cat', 'dog']
    fill_in(config)
    pytest.importorskip(config.default_scope)
    init_default_scope(config.default_scope)
    # The reference start is another backbone: its weights are pip's, here it is random.
    start_from(config, 'none' if arch == 'lite0' else str(student))
    model = MODELS.build(config.model)
    model.init_weights()
    classes = config.train_dataloader.dataset.get('metainfo', {}).get('classes', range(80))
    heads = {module.num_classes for module in model.modules() if hasattr(module, 'num_classes')}
    assert heads == {len(classes)}
    if arch != 'lite0':
        saved = read_checkpoint(student)['state_dict']
        assert all(torch.equal(value, saved[f'backbone.{key}']) for key, value in model.backbone.state_dict().items())
    losses = losses_of(model.train(), config.default_scope, len(classes))
    losses.backward()
    assert torch.isfinite(losses) and model.backbone.state_dict()


@pytest.mark.parametrize('path', DOWNSTREAM, ids=lambda p: p.stem)
@pytest.mark.parametrize('rate', [1.0, 0.1, 0.0])
def test_the_backbone_learns_at_its_rate_in_each_step(path, rate):
    cfg = config_of(path)
    pytest.importorskip(cfg.default_scope)
    cfg.merge_from_dict(dict(backbone_rate=rate, label_percent=10, iterations=70, names=['cat', 'dog']))
    fill_in(cfg)
    assert cfg.train_cfg.max_iters == cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == 70
    assert cfg.train_dataloader.sampler == dict(type='mmlgd.LabelSampler', percent=10)
    refuse_overridden_rates(cfg)
    init_default_scope('mmengine')
    model = torch.nn.ModuleDict(dict(backbone=torch.nn.Linear(1, 1), head=torch.nn.Linear(1, 1)))
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    schedules = [PARAM_SCHEDULERS.build(dict(one, optimizer=optimizer)) for one in cfg.param_scheduler]
    rates = []
    for _ in range(cfg.train_cfg.max_iters):
        backbone, _, head, _ = (group['lr'] for group in optimizer.optimizer.param_groups)
        assert backbone == pytest.approx(rate * head)
        rates.append(head)
        model.head.weight.grad = torch.zeros(1, 1)
        optimizer.step()
        for schedule in schedules:
            schedule.step()
    assert max(rates) == pytest.approx(cfg.optim_wrapper.optimizer.lr) and min(rates[0], rates[-1]) < 0.02 * max(rates)


@pytest.fixture
def step(tiny_clip, images):
    """Read a config, let it have a small teacher and a few images, and make a step; all else is the config's."""

    def make(path, arch='resnet18'):
        init_default_scope('mmpretrain')
        cfg = config_of(path)
        cfg.arch = arch
        supervised = 'teacher' not in cfg.model
        if not supervised:
            cfg.model.teacher = dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip)
        cfg.data_root, cfg.names = str(images), ['cat', 'dog', 'tree']
        fill_in(cfg)
        dataset = cfg.train_dataloader.dataset
        dataset.update(data_root=str(images), data_prefix='', with_label=supervised)
        if not supervised:
            cfg.model.text.vocabulary = cfg.names
        data = DATASETS.build(dataset)
        model = MODELS.build(cfg.model).train()
        losses = model(**model.data_preprocessor(default_collate([data[0], data[1]]), training=True), mode='loss')
        assert all(torch.isfinite(value) for value in losses.values())
        return cfg, model, losses

    return make


@pytest.mark.parametrize('path', PRETRAINING, ids=lambda p: p.stem)
def test_pretraining_makes_a_step(path, step):
    cfg, _, losses = step(path)
    assert ('loss_queue' in losses) == (path.stem != 'lgd_resnet18-half_images')
    assert ('loss_place_queue' in losses) == ('loss_place_textual' in losses) == path.stem.startswith('dense')
    assert cfg.param_scheduler[0].total_steps == cfg.train_cfg.max_epochs
    assert cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size


PARTS = {
    'seed': dict(loss_queue=True),
    'tsb-only': dict(loss_textual=True),
    'vsb-only': dict(loss_visual=True),
    'kway': dict(loss_visual=True, loss_textual=True),
    'cosine': dict(loss_cosine=True),
    'two-banks': dict(loss_visual=True, loss_textual=True),
    'supervised': dict(loss=True),
    'images': dict(loss_textual=True, loss_queue=True),
    'places-regression': dict(loss_textual=True, loss_queue=True, loss_place_regression=True),
    'queue-only': dict(loss_queue=True, loss_place_queue=True),
}


@pytest.mark.parametrize('name', ['lgd', 'seed', 'supervised'])
def test_mobilenetv2_takes_the_place_of_resnet18(name, step):
    cfg, model, _ = step(
        SMALL / ('' if name == 'lgd' else 'baselines') / f'{name}_resnet18-half_tiny-imagenet.py', 'mobilenetv2'
    )
    assert type(model.backbone).__name__ == 'MobileNetV2' and model.backbone.widen_factor == 0.5


def test_there_is_every_baseline():
    assert {path.stem.split('_')[0] for path in BASELINES} == set(PARTS)


@pytest.mark.parametrize('path', BASELINES, ids=lambda p: p.stem)
def test_a_baseline_has_its_parts_of_the_loss(path, step):
    name = path.stem.split('_')[0]
    _, model, losses = step(path)
    assert {key: bool(value > 0) for key, value in losses.items()} == PARTS[name]
    if name == 'seed':
        assert model.queue.bank.shape == (8192, 32)
    if name != 'supervised':
        self_logits = {term.bank for term in model.criterion.terms if getattr(term, 'self_logit', False)}
        others = model.criterion.reads - {'text'}
        assert self_logits - {'text'} == (set() if name == 'kway' else others)


@pytest.mark.parametrize('path', BASELINES, ids=lambda p: p.stem)
def test_a_baseline_differs_in_its_model_alone(path):
    _, student = path.stem.split('_', 1)
    recipe = 'dense' if student == 'resnet18-half_images' else 'lgd'
    ours, theirs = (config_of(file) for file in (SMALL / f'{recipe}_{student}.py', path))
    if 'supervised' in path.stem:
        for cfg in (ours, theirs):
            cfg.names = ['sky', 'road', 'car']
            fill_in(cfg)
        assert theirs.model.head.num_classes == 3 and theirs.val_evaluator[0].topk == (1,)
        assert theirs.train_dataloader.dataset.pop('with_label') and not ours.train_dataloader.dataset.pop('with_label')
        assert theirs.model.backbone == ours.model.backbone
        for key in ('default_hooks', 'val_evaluator', 'test_evaluator'):
            ours.pop(key), theirs.pop(key)
    else:
        for key in ('backbone', 'neck', 'teacher', 'text', 'data_preprocessor'):
            assert theirs.model[key] == ours.model[key]
    ours.pop('model'), theirs.pop('model')
    assert theirs.to_dict() == ours.to_dict()
