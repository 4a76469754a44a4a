"""The tools that OpenMMLab users and mim start are verbs of the command."""

import os
import runpy
import subprocess

import pytest

from tests import ROOT


@pytest.mark.parametrize(
    'tool, verb', [('train', 'train'), ('test', 'test'), ('store_teacher', 'store'), ('replay_step', 'replay')]
)
def test_a_tool_is_a_verb(tool, verb, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', [f'{tool}.py', '--help'])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / f'tools/{tool}.py'), run_name='__main__')
    assert ended.value.code == 0 and f'Usage: mmlgd {verb} ' in capsys.readouterr().out
    assert len((ROOT / f'tools/{tool}.py').read_text().splitlines()) < 10


@pytest.mark.parametrize(
    'name, verb', [('dist_train.sh', 'train'), ('dist_test.sh', 'test'), ('slurm_train.sh', 'train')]
)
def test_the_launchers_start_it(name, verb, tmp_path, monkeypatch):
    """With stand-ins for Python and srun that say what they were called with."""
    for program in ('python', 'srun'):
        (tmp_path / program).write_text('#!/bin/sh\necho "$@"\n')
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    given = ['c.py', 'a.pth', '2'] if verb == 'test' else ['c.py', '2']
    given = ['part', 'job', 'c.py', 'dir'] if 'slurm' in name else given
    command = ['bash', str(ROOT / 'tools' / name), *given, '--out', 'x']
    told = subprocess.run(command, capture_output=True, text=True).stdout
    launcher = 'slurm' if 'slurm' in name else 'pytorch'
    assert f'tools/{verb}.py c.py' in told and f'--launcher {launcher} --out x' in told
