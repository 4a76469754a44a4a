"""Two machines with two processes each, on this one: what torchrun and slurm start shares images, folder and result."""

import json
import os
import socket
import subprocess
import sys

import pytest

from mmlgd.checkpoints import read_checkpoint
from tests import ROOT
from tests.shards import pack_photos

RECIPE = ROOT / 'configs/lgd/lgd_resnet18_1xb256-coslr-200e_images.py'
ON_CPUS = ['--cfg-options', 'env_cfg.dist_cfg.backend=gloo']
WATCH = """
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmlgd.registry import HOOKS

@HOOKS.register_module()
class WatchShare(Hook):
    def __init__(self, folder):
        self.folder = folder
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        with open(f'{self.folder}/epoch_{runner.epoch + 1}_rank_{get_rank()}', 'a') as file:
            file.writelines(f'{sample.img_path}\\n' for sample in data_batch['data_samples'])
"""


@pytest.fixture
def recipe(recipe_of, tmp_path):
    """Sixteen images in shards; a hook of one's own writes down which of them a process sees."""
    packed = pack_photos(tmp_path / 'data', shards=4)
    (tmp_path / 'watch_share.py').write_text(WATCH)
    (tmp_path / 'seen').mkdir()
    (tmp_path / 'mine.py').write_text(
        recipe_of(RECIPE)
        + f"train_dataloader['dataset'].update(type='mmlgd.ImageShards', data_root=r'{packed}')\n"
        + "train_dataloader['batch_size'] = 2\n"
        + 'val_cfg = val_dataloader = val_evaluator = None\n'
        + "custom_imports = dict(imports=['mmlgd', 'watch_share'], allow_failed_imports=False)\n"
        + f"custom_hooks = [dict(type='mmlgd.WatchShare', folder=r'{tmp_path / 'seen'}')]\n"
    )
    return tmp_path / 'mine.py'


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


def run_all(commands, folder):
    """Run commands side by side, each with variables of its own, and return what they print."""
    base = {key: value for key, value in os.environ.items() if not key.startswith('SLURM')}
    base.update(PYTHONPATH=f'{ROOT}:{folder}', OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder)
    started = [subprocess.Popen(list(map(str, words)), env={**base, **own}, **pipes) for words, own in commands]
    told = [process.communicate()[0] for process in started]
    assert not any(process.returncode for process in started), '\n'.join(text[-3000:] for text in told)
    return told


def by_torchrun(recipe, work_dir, *options):
    """The command of docs/pretrain.md on each of two nodes."""
    torchrun = [sys.executable, '-m', 'torch.distributed.run', '--nnodes', 2, '--nproc_per_node', 2]
    torchrun += ['--master_addr', '127.0.0.1', '--master_port', free_port()]
    train = ['-m', 'mmlgd.cli', 'train', recipe, '--work-dir', work_dir, '--launcher', 'pytorch', *options, *ON_CPUS]
    return run_all([([*torchrun, '--node_rank', node, *train], {}) for node in range(2)], recipe.parent)


def by_slurm(recipe, work_dir, *options):
    """tools/slurm_train.sh, with an srun that starts its tasks as slurm would, and the scontrol that mmengine asks."""
    programs = recipe.parent / 'bin'
    programs.mkdir(exist_ok=True)
    (programs / 'scontrol').write_text(
        '#!/bin/sh\n[ "$*" = "show hostname node[0-1]" ] && printf "127.0.0.1\\nnode1\\n"\n'
    )
    (programs / 'srun').write_text(f'#!{sys.executable}\n{SRUN}')
    for file in programs.iterdir():
        file.chmod(0o755)
    own = dict(PATH=f'{programs}:{os.environ["PATH"]}', PYTHON=sys.executable, MASTER_PORT=str(free_port()))
    own.update(GPUS='4', GPUS_PER_NODE='2', SRUN_ARGS='--exclusive')
    words = ['bash', ROOT / 'tools/slurm_train.sh', 'part', 'job', recipe, work_dir, *options, *ON_CPUS]
    return run_all([(words, own)], recipe.parent)


SRUN = """
import os, re, subprocess, sys
words = sys.argv[1:]
first = next(k for k, word in enumerate(words) if k and not word.startswith('-') and words[k - 1] != '-p')
options, command = words[:first], words[first:]
tasks, of_node = (int(re.search(rf'--{name}=(\\\\d+)', ' '.join(options))[1]) for name in ('ntasks', 'ntasks-per-node'))
common = dict(SLURM_NTASKS=str(tasks), SLURM_NODELIST='node[0-1]')
started = [
    subprocess.Popen(command, env={**os.environ, **common, 'SLURM_PROCID': str(k), 'SLURM_LOCALID': str(k % of_node)})
    for k in range(tasks)
]
sys.exit(max(process.wait() for process in started))
""".replace('\\\\', '\\')


def seen(recipe, epoch):
    """The images that each rank saw in an epoch."""
    files = sorted((recipe.parent / 'seen').glob(f'epoch_{epoch}_rank_*'))
    return [file.read_text().split('\n')[:-1] for file in files]


@pytest.mark.exhaustive
@pytest.mark.parametrize('start', [by_torchrun, by_slurm])
def test_two_nodes_train_one_student_and_go_on(start, recipe, tmp_path):
    work_dir = tmp_path / 'run'
    told = start(recipe, work_dir, '--cfg-options', 'train_cfg.max_epochs=2', 'param_scheduler=[]')
    assert sum(text.count('Saving checkpoint at 2 epochs') for text in told) == 1
    shares = seen(recipe, 1)
    everything = sorted(image for share in shares for image in share)
    assert [len(share) for share in shares] == [4] * 4 and len(set(everything)) == 16
    assert sorted(image for share in seen(recipe, 2) for image in share) == everything and seen(recipe, 2) != shares
    (log,) = work_dir.glob('2*_*')
    assert len([*log.glob('*.log'), *log.glob('vis_data/scalars.json')]) == 2
    steps = [json.loads(line) for line in (log / 'vis_data/scalars.json').read_text().splitlines()]
    assert [step['step'] for step in steps if 'loss' in step] == [1, 2, 3, 4]

    start(recipe, work_dir, '--resume', '--cfg-options', 'train_cfg.max_epochs=3', 'param_scheduler=[]')
    assert sorted(file.name for file in work_dir.glob('*.pth')) == ['epoch_2.pth', 'epoch_3.pth']
    assert sorted(image for share in seen(recipe, 3) for image in share) == everything
    assert len(list((tmp_path / 'seen').iterdir())) == 12  # and no epoch was trained twice
    saved = read_checkpoint(work_dir / 'epoch_3.pth')
    assert saved['meta']['iter'] == 6 and saved['message_hub']['runtime_info']['mmlgd_steps']['processes'] == 4
    assert saved['state_dict']['visual_bank.bank'].isfinite().all()
