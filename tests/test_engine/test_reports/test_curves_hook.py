"""A whole run that watches itself without labels: the base config for that, the metric, both hooks."""

from pathlib import Path
from textwrap import dedent

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner
from PIL import Image

from mmlgd.engine.reports import read_scalars
from tests import ROOT

CONFIGS = ROOT / 'configs'

pytestmark = pytest.mark.usefixtures('drawn')


@pytest.fixture
def config(tiny_clip, images, tmp_path):
    file = tmp_path / 'watched.py'
    file.write_text(
        dedent(f"""
        _base_ = [
            r'{CONFIGS}/lgd/lgd_resnet18_1xb256-coslr-200e_images.py',
            r'{CONFIGS}/_base_/datasets/unlabelled_val.py',
        ]
        model = dict(
            backbone=dict(base_channels=8, stem_channels=8), neck=dict(in_channels=64),
            teacher=dict(_delete_=True, type='mmlgd.OpenCLIPTeacher', model=r'{tiny_clip}'),
            text=dict(vocabulary=['cat', 'dog', 'tree'], templates='plain'))
        pipeline = [
            dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64)), dict(type='mmpretrain.PackInputs')]
        dataset = dict(data_root=r'{images}', pipeline=pipeline)
        train_dataloader = val_dataloader = dict(
            batch_size=4, num_workers=0, persistent_workers=False, dataset=dataset)
        train_cfg = dict(max_epochs=2, val_interval=1)
        default_hooks = dict(
            logger=dict(interval=1),
            checkpoint=dict(interval=2, save_best='distillation/agreement', rule='greater'))
        work_dir = r'{tmp_path / 'run'}'
        """)
    )
    before = DefaultScope.get_current_instance()
    yield Config.fromfile(file)
    if before is not None:
        init_default_scope(before.scope_name)


def test_a_run_is_watched_and_drawn(config):
    runner = Runner.from_cfg(config)
    runner.train()
    assert min(Image.open(Path(config.work_dir) / 'curves.png').size) > 300
    curves = read_scalars(config.work_dir, iterations_per_epoch=3)
    watched = ('agreement', 'cosine', 'effective_classes', 'teacher_effective_classes')
    for key in (*(f'distillation/{name}' for name in watched), 'bank/visited', 'bank/prototype_entropy'):
        assert curves[key][0].tolist() == [1, 2], key
    assert len(curves['loss_visual'][0]) == 6
    assert 'distillation/leave_one_out_knn' not in curves and 'accuracy/top1' not in curves  # no labels
    assert 0 <= curves['distillation/agreement'][1].min() and curves['distillation/agreement'][1].max() <= 100
    assert list(Path(config.work_dir).glob('best_distillation_agreement_epoch_*.pth'))
    saved = runner.message_hub.get_scalar('bank/visited')  # travels in the checkpoint
    assert saved.current() == curves['bank/visited'][1][-1]


def test_without_a_local_log_the_reason_is_said(config):
    config.visualizer.vis_backends = []
    config.experiment_name = 'no_log'
    config.train_cfg.max_epochs = 1
    runner = Runner.from_cfg(config)
    messages = []
    runner.logger.warning = messages.append
    runner.train()
    assert any("dict(type='LocalVisBackend')" in message for message in messages)
    assert not (Path(config.work_dir) / 'curves.png').exists()
