"""One process as torchrun and slurm start it, where there is no GPU; test_nodes.py has several."""

import os
import socket

import pytest
import torch
from mmengine.config import Config

from mmlgd.errors import ConfigError
from mmlgd.run.ranks import check_cards, on_cpus, prepare_cpus
from tests import ROOT, children

pytestmark = children.in_one_worker
GLOO = dict(dist_cfg=dict(backend='gloo'))


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return str(found.getsockname()[1])


def set_variables(variables):
    os.environ.update(variables)


@pytest.fixture(scope='module')
def recipe(recipe_of, tmp_path_factory):
    file = tmp_path_factory.mktemp('config') / 'mine.py'
    text = recipe_of(ROOT / 'configs/lgd/lgd_resnet18_1xb256-coslr-200e_images.py')
    file.write_text(text + 'val_cfg = val_dataloader = val_evaluator = None\ntrain_cfg = dict(max_epochs=1)\n')
    return file


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm'])
def test_a_launcher_trains_on_the_cpu_if_it_is_told_to(launcher, recipe, tmp_path):
    (tmp_path / 'scontrol').write_text(
        '#!/bin/sh\n[ "$*" = "show hostname node[7-9]" ] && printf "127.0.0.1\\nnode8\\n"\n'
    )
    (tmp_path / 'scontrol').chmod(0o755)
    variables = dict(MASTER_PORT=free_port(), PATH=f'{tmp_path}:{os.environ["PATH"]}')
    if launcher == 'pytorch':
        variables.update(RANK='0', LOCAL_RANK='0', WORLD_SIZE='1', MASTER_ADDR='127.0.0.1')
    else:
        variables.update(SLURM_PROCID='0', SLURM_LOCALID='0', SLURM_NTASKS='1', SLURM_NODELIST='node[7-9]')
    arguments = [recipe, '--work-dir', tmp_path / 'run', '--launcher', launcher]
    arguments += ['--cfg-options', 'env_cfg.dist_cfg.backend=gloo']
    started = (children.verb, 'train', arguments, set_variables, variables)
    code, log = children.run(*started, log=tmp_path / 'log')
    assert code == 0, log[-3000:]
    assert (tmp_path / 'run/epoch_1.pth').is_file()


def test_only_who_asks_gets_the_cpu(monkeypatch):
    asked = Config(dict(launcher='slurm', env_cfg=GLOO))
    assert on_cpus(asked) and check_cards(asked) is None
    for cfg in (dict(launcher='slurm'), dict(launcher='slurm', env_cfg=dict(dist_cfg=dict(backend='nccl')))):
        with pytest.raises(ConfigError, match='torch finds 0 .* add --cfg-options env_cfg.dist_cfg.backend=gloo'):
            check_cards(Config(cfg))
    alone = Config(dict(launcher='none', env_cfg=GLOO))
    prepare_cpus(alone)
    assert not on_cpus(alone) and 'model_wrapper_cfg' not in alone
    monkeypatch.setattr('mmlgd.run.ranks.get_device', lambda: 'cuda')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    assert not on_cpus(asked) and check_cards(asked) is None
