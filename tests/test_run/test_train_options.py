"""Options of a training run: in what order they count, and what is refused before anything is built."""

from functools import partial

import pytest
import torch
from mmengine.config import Config
from mmengine.optim.optimizer import amp_optimizer_wrapper

import mmlgd
from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.run.config import set_work_dir
from mmlgd.run.train_options import train_config
from mmlgd.utils.configs import read_config
from mmlgd.utils.paths import place_of
from mmlgd.utils.validation import NumberError

CONFIG = """
    optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.24))
    auto_scale_lr = dict(base_batch_size=2048)
    model = dict(backbone=dict(type='ResNet', depth=18))
    val_cfg, val_dataloader, val_evaluator = dict(), dict(batch_size=2), dict(type='Accuracy')
"""
ONE_CYCLE = {'param_scheduler.type': 'OneCycleLR', 'param_scheduler.eta_max': 0.002}


@pytest.fixture
def config(tmp_path):
    (tmp_path / 'config.py').write_text('\n'.join(line.strip() for line in CONFIG.splitlines()))
    return tmp_path / 'config.py'


@pytest.fixture
def read(config, monkeypatch):
    """Read a small config as training does, on a machine with a card or without one."""
    for name, value in dict(RANK=0, LOCAL_RANK=0, WORLD_SIZE=2, MASTER_ADDR='localhost', MASTER_PORT=29500).items():
        monkeypatch.setenv(name, str(value))

    def read(cards=0, work_dir='run', **options):
        monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: cards > 0)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: cards)
        return train_config(config, work_dir=work_dir, **options)

    return read


@pytest.mark.parametrize(
    'options, size',
    [
        ({}, 2048),
        ({'optim_wrapper.accumulative_counts': 8}, 256),
        ({'optim_wrapper.accumulative_counts': 8, 'auto_scale_lr.base_batch_size': 256}, 32),
        ({'auto_scale_lr.base_batch_size': 512}, 512),
    ],
)
def test_the_learning_rate_is_scaled_by_what_the_options_have_changed(read, options, size):
    assert read(auto_scale_lr=True, cfg_options=options).auto_scale_lr == dict(base_batch_size=size, enable=True)


def test_cfg_options_change_what_other_options_set(read, tmp_path):
    file = tmp_path / 'a.pth'
    torch.save(dict(state_dict=dict()), file)
    options = {'optim_wrapper.dtype': 'float16', 'optim_wrapper.loss_scale.init_scale': 64, 'resume': False}
    cfg = read(amp=True, resume=file, cfg_options=options, cards=1)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper' and cfg.optim_wrapper.dtype == 'float16'
    assert cfg.optim_wrapper.loss_scale.init_scale == 64 and cfg.optim_wrapper.optimizer.lr == 0.24
    assert (cfg.resume, cfg.load_from) == (False, str(file))


def test_no_evaluation_whatever_its_options(read):
    cfg = read(no_validate=True, cfg_options={'val_dataloader.batch_size': 8})
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(amp=True), 'needs a GPU, but this machine has none'),
        ({'optim_wrapper.type': 'AmpOptimWrapper'}, 'needs a GPU, but this machine has none'),
        (dict(launcher='pytorch'), 'torch finds 0 on this machine'),
        ({'randomness.seed': -1}, "expected a seed from 0 to 4294967295, a whole number; got '-1'"),
        ({'randomness.seed': 2**70}, f'got .{2**70}'),
        ({'randomness.seed': 1.5}, "got '1.5'"),
        (dict(auto_scale_lr=True, cfg_options={'optim_wrapper.accumulative_counts': 0}), 'accumulative_counts from 1'),
        (dict(auto_scale_lr=True, cfg_options=ONE_CYCLE), 'OneCycleLR .* eta_max=0.002, for 2048'),
        (dict(work_dir='/x/{{ fileBasename }}'), 'work_dir is .* mmengine substitutes'),
        ({'model.backbone.style': '{{$NOVAR:1}}'}, 'model.backbone.style is .* mmengine substitutes'),
    ],
)
def test_what_is_refused(read, options, message):
    with pytest.raises(ConfigError, match=message):
        read(**(dict(cfg_options=options) if any('.' in name for name in options) else options))


def test_more_processes_than_cards_are_refused(read, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '1')
    with pytest.raises(ConfigError, match='torch finds 1 on this machine for 2 or more'):
        read(launcher='pytorch', cards=1)
    read(launcher='pytorch', cards=2)


@pytest.mark.parametrize('number', [-1, 2**40, 'many', '1e3', 1.5])
def test_the_numbers_of_a_store(config, number):
    with pytest.raises(NumberError, match='expected views from 1 to'):
        mmlgd.store_teacher(config, out='store', views=number)
    with pytest.raises(NumberError, match='expected a seed from 0 to'):
        mmlgd.store_teacher(config, out='store', views=2, seed=number)


def test_a_config_is_a_file_a_name_or_an_object(config):
    name = 'lgd/lgd_resnet18_1xb256-coslr-200e_images.py'
    named = read_config(f'mmlgd::{name}')
    assert named.to_dict() == read_config(place_of('configs') / name).to_dict()
    mine = Config.fromfile(config)
    read_config(mine).model.backbone.depth = 50
    assert mine.model.backbone.depth == 18


@pytest.mark.parametrize(
    'name, message',
    [
        ('nowhere.py', "no config at 'nowhere.py'. The configs of mmlgd are in .*configs"),
        ('mmlgd::lgd/nowhere.py', 'no config at .*configs/lgd/nowhere.py'),
        ('nowhere::a.py', "'nowhere' is not installed"),
    ],
)
def test_a_config_that_is_not_there_is_named(name, message):
    with pytest.raises(MissingFileError, match=message):
        read_config(name)


def test_where_a_run_goes(config):
    def place(cfg, work_dir=None):
        set_work_dir(cfg, work_dir)
        return cfg.work_dir

    assert place(read_config(config)) == 'work_dirs/config'
    assert place(read_config(config), config.parent) == str(config.parent)
    assert place(Config(dict(work_dir='mine'))) == 'mine'
    with pytest.raises(ConfigError, match='neither a work_dir nor a file name'):
        place(Config(dict(model=dict())))


def test_a_work_dir_that_was_moved(tmp_path):
    (tmp_path / 'moved/recipe').mkdir(parents=True)
    file = tmp_path / 'moved/recipe/pretrain.py'
    file.write_text(f"model, work_dir = dict(), r'{tmp_path / 'run'}'\n")
    move = partial(set_work_dir, read_config(file))
    with pytest.raises(ConfigError, match=f'was it moved or copied.*--work-dir {tmp_path}/moved'):
        move(None)
    move(tmp_path / 'moved')
