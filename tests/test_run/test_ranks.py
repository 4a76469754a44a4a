"""One process as torchrun and slurm start it, where there is no GPU; test_nodes.py has several."""

import os
import socket

import pytest
import torch
from mmengine.config import Config

from mmlgd.errors import ConfigError
from mmlgd.run.ranks import check_cards, join_ranks, on_cpus, prepare_cpus, rank_told
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


TOLD = dict(
    pytorch=dict(RANK='2', LOCAL_RANK='1', WORLD_SIZE='4', MASTER_ADDR='127.0.0.1', MASTER_PORT='29500'),
    slurm=dict(SLURM_PROCID='2', SLURM_LOCALID='1', SLURM_NTASKS='4', SLURM_NODELIST='node[7-9]'),
    mpi=dict(
        OMPI_COMM_WORLD_RANK='2',
        OMPI_COMM_WORLD_LOCAL_RANK='1',
        OMPI_COMM_WORLD_SIZE='4',
        MASTER_ADDR='127.0.0.1',
    ),
)


@pytest.fixture
def told(monkeypatch):
    """What a launcher tells a process, and nothing that another one has told."""

    def told(launcher, **changes):
        for name in {*sum(map(list, TOLD.values()), []), 'LOCAL_RANK'}:
            monkeypatch.setenv(name, '')  # so that what a check sets is taken back, too
            monkeypatch.delenv(name)
        for name, value in {**TOLD.get(launcher, {}), **changes}.items():
            monkeypatch.setenv(name, value)

    return told


@pytest.mark.parametrize('launcher, starter', [('pytorch', 'torchrun'), ('slurm', 'srun'), ('mpi', 'mpirun -x')])
def test_a_process_that_no_launcher_has_started(launcher, starter, told):
    """mmengine would end in a KeyError, or wait for others that never come."""
    assert rank_told('none') == 0
    told(launcher)
    assert rank_told(launcher) == 2
    cfg = Config(dict(launcher=launcher, env_cfg=GLOO))
    for name in TOLD[launcher]:
        told(launcher, **{name: ''})
        for check in (check_cards, join_ranks):
            with pytest.raises(ConfigError, match=f'--launcher {launcher} reads {name} from .* by {starter}'):
                check(cfg)
    for k, wrong in ((0, 'x'), (0, '-1'), (0, '4'), (1, '1.5'), (1, '4'), (2, '0'), (2, 'many')):
        name = list(TOLD[launcher])[k]
        told(launcher, **{name: wrong})
        with pytest.raises(ConfigError, match=f"{name}='{wrong}'.*: expected whole numbers.* by {starter}"):
            check_cards(cfg)


@pytest.mark.parametrize('launcher', TOLD)
@pytest.mark.parametrize('start', [check_cards, join_ranks])
def test_each_process_needs_a_card_of_its_own(launcher, start, told, monkeypatch):
    monkeypatch.setattr('mmlgd.run.ranks.get_device', lambda: 'cuda')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    told(launcher)
    with pytest.raises(ConfigError, match=f'--launcher {launcher} .* torch finds 1 on this machine for 2'):
        start(Config(dict(launcher=launcher)))
    if launcher == 'mpi':
        assert os.environ['LOCAL_RANK'] == '1'  # mmengine reads it


def test_only_who_asks_gets_the_cpu(monkeypatch, told):
    told('slurm', SLURM_LOCALID='0')
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
