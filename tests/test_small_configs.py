"""The configs for a CPU fit each other: the narrow student that is pre-trained is the one that detects and segments."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import DATASETS, DefaultScope, init_default_scope

from mmlgd.apis.downstream import start_from
from mmlgd.registry import MODELS

from .test_benchmark_configs import losses_of

SMALL = Path(__file__).parents[1] / 'configs/small'
PRETRAINING = sorted(SMALL.glob('lgd_*.py'))
DOWNSTREAM = sorted(path for path in SMALL.glob('*.py') if path not in PRETRAINING)


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    (tmp_path / 'classes.txt').write_text('sky\nroad\ncar\n')
    monkeypatch.setenv('MMLGD_CAMVID', str(tmp_path))
    monkeypatch.setenv('MMLGD_NAMES', str(tmp_path / 'classes.txt'))
    before = DefaultScope.get_current_instance()
    yield
    if before is not None:
        init_default_scope(before.scope_name)


@pytest.fixture(scope='session')
def student(tmp_path_factory):
    backbone = MODELS.build(Config.fromfile(SMALL / 'lgd_resnet18-half_tiny-imagenet.py').model.backbone)
    path = tmp_path_factory.mktemp('half') / 'epoch_16.pth'
    torch.save(dict(state_dict={f'backbone.{key}': value for key, value in backbone.state_dict().items()}), path)
    return path


@pytest.mark.parametrize('path', DOWNSTREAM, ids=lambda p: p.stem)
def test_a_student_detects_and_segments(path, student):
    config = Config.fromfile(path)
    pytest.importorskip(config.default_scope)
    init_default_scope(config.default_scope)
    # The reference start is another backbone: its weights are pip's, here it is random.
    start_from(config, 'none' if 'lite0' in path.stem else str(student))
    model = MODELS.build(config.model)
    model.init_weights()
    classes = config.train_dataloader.dataset.get('metainfo', {}).get('classes', range(80))
    heads = {module.num_classes for module in model.modules() if hasattr(module, 'num_classes')}
    assert heads == {len(classes)}
    if 'lite0' not in path.stem:
        saved = torch.load(student, weights_only=True)['state_dict']
        assert all(torch.equal(value, saved[f'backbone.{key}']) for key, value in model.backbone.state_dict().items())
    losses = losses_of(model.train(), config.default_scope, len(classes))
    losses.backward()
    assert torch.isfinite(losses) and model.backbone.state_dict()


@pytest.mark.parametrize('path', PRETRAINING, ids=lambda p: p.stem)
def test_pretraining_makes_a_step(path, tiny_clip, pictures):
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(path)
    cfg.model.teacher = dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip)
    cfg.model.text.vocabulary = ['cat', 'dog', 'tree']
    dataset = cfg.train_dataloader.dataset
    dataset.update(data_root=str(pictures), data_prefix='', with_label=False)
    data = DATASETS.build(dict(dataset, type='mmpretrain.CustomDataset'))
    model = MODELS.build(cfg.model).train()
    losses = model(**model.data_preprocessor(default_collate([data[0], data[1]]), training=True), mode='loss')
    assert all(torch.isfinite(value) for value in losses.values())
    assert cfg.param_scheduler[0].total_steps == cfg.train_cfg.max_epochs
    assert cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size
