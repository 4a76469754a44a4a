"""train.py's arguments: in what order they count, and what is refused before anything is built."""

import argparse

import pytest
import torch
from mmengine.optim.optimizer import amp_optimizer_wrapper

from mmlgd.errors import ConfigError

CONFIG = """
    optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.24))
    auto_scale_lr = dict(base_batch_size=2048)
    model = dict(backbone=dict(type='ResNet', depth=18))
    val_cfg, val_dataloader, val_evaluator = dict(), dict(batch_size=2), dict(type='Accuracy')
"""


ONE_CYCLE = ['param_scheduler.type=OneCycleLR', 'param_scheduler.eta_max=0.002']


@pytest.fixture
def train(tool, tmp_path, monkeypatch):
    """Read a small config as train.py does, on a machine with a card or without one."""
    module = tool('train')
    (tmp_path / 'config.py').write_text('\n'.join(line.strip() for line in CONFIG.splitlines()))
    monkeypatch.setenv('LOCAL_RANK', '0')

    def load(*arguments, cards=0):
        arguments = ['train.py', str(tmp_path / 'config.py'), '--work-dir', str(tmp_path / 'run'), *arguments]
        monkeypatch.setattr('sys.argv', arguments)
        monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: cards > 0)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: cards)
        return module.load_config(module.parse_args())

    return load


@pytest.mark.parametrize(
    'options, size',
    [
        ([], 2048),
        (['optim_wrapper.accumulative_counts=8'], 256),
        (['optim_wrapper.accumulative_counts=8', 'auto_scale_lr.base_batch_size=256'], 32),
        (['auto_scale_lr.base_batch_size=512'], 512),
    ],
)
def test_the_learning_rate_is_scaled_by_what_the_options_have_changed(train, options, size):
    cfg = train('--auto-scale-lr', *(['--cfg-options', *options] if options else []))
    assert cfg.auto_scale_lr == dict(base_batch_size=size, enable=True)


def test_options_change_what_other_arguments_set(train):
    options = ['optim_wrapper.dtype=float16', 'optim_wrapper.loss_scale.init_scale=64', 'resume=False']
    cfg = train('--amp', '--resume', 'a.pth', '--cfg-options', *options, cards=1)
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper' and cfg.optim_wrapper.dtype == 'float16'
    assert cfg.optim_wrapper.loss_scale.init_scale == 64 and cfg.optim_wrapper.optimizer.lr == 0.24
    assert (cfg.resume, cfg.load_from) == (False, 'a.pth')


def test_no_evaluation_whatever_its_options(train):
    cfg = train('--no-validate', '--cfg-options', 'val_dataloader.batch_size=8')
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--amp'], 'takes a card, and this machine has none'),
        (['--cfg-options', 'optim_wrapper.type=AmpOptimWrapper'], 'takes a card, and this machine has none'),
        (['--launcher', 'pytorch'], 'torch finds 0 on this machine'),
        (['--cfg-options', 'randomness.seed=-1'], "expected a seed from 0 to 4294967295, a whole number; got '-1'"),
        (['--cfg-options', f'randomness.seed={2**70}'], f'got .{2**70}'),
        (['--cfg-options', 'randomness.seed=1.5'], "got '1.5'"),
        (['--auto-scale-lr', '--cfg-options', 'optim_wrapper.accumulative_counts=0'], 'accumulative_counts from 1'),
        (
            ['--auto-scale-lr', '--cfg-options', *ONE_CYCLE],
            'OneCycleLR .* eta_max=0.002, meant for 2048',
        ),
        (['--work-dir', '/x/{{ fileBasename }}'], 'work_dir is .* mmengine substitutes'),
        (['--cfg-options', 'model.backbone.depth={{$NOVAR:1}}'], 'model.backbone.depth is .* mmengine substitutes'),
    ],
)
def test_what_is_refused(train, arguments, message):
    with pytest.raises(ConfigError, match=message):
        train(*arguments)


def test_more_processes_than_cards_are_refused(train, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '1')
    with pytest.raises(ConfigError, match='torch finds 1 on this machine for 2 or more'):
        train('--launcher', 'pytorch', cards=1)
    train('--launcher', 'pytorch', cards=2)


@pytest.mark.parametrize('flag', ['--seed', '--views'])
@pytest.mark.parametrize('number', ['-1', str(2**40), 'many', '1e3'])
def test_the_numbers_of_a_store(tool, monkeypatch, capsys, flag, number):
    module = tool('store_teacher')
    monkeypatch.setattr('sys.argv', ['store_teacher.py', 'c.py', '--out', 'store', '--views', '2', f'{flag}={number}'])
    with pytest.raises(SystemExit):
        module.parse_args()
    assert f'argument {flag}: expected' in capsys.readouterr().err.splitlines()[-1]


def test_a_number_error_is_one_of_the_command_line_too(tool):
    with pytest.raises(argparse.ArgumentTypeError, match='a whole number'):
        tool('store_teacher').seed_number('-1')
