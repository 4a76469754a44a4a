"""A command out of a function: what its options read, and how it fails."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Optional, Union

import pytest
from click.testing import CliRunner

from mmlgd.cli.__main__ import VERBS, main
from mmlgd.cli.verbs import verb
from mmlgd.errors import ConfigError


def sample(
    config: str,
    *,
    names: Union[str, Sequence[str]],
    work_dir: Optional[Union[str, Path]] = None,
    cfg_options: Optional[dict] = None,
    resume: Union[bool, str] = False,
    amp: bool = False,
    launcher: Literal['none', 'pytorch'] = 'none',
    seeds: Sequence[int] = (0,),
    lr: float = 0.1,
) -> dict:
    """Train a config.

    It is a :func:`~mmlgd.sample`.

    Args:
        config (str): A ``config``
            file.
        names (str | Sequence[str]): Class names.
        resume (bool | str): Go on.
    """
    if lr < 0:
        raise ConfigError(f'lr is {lr}, expected more.')
    return {key: value for key, value in locals().items() if value not in (None, False)}


@pytest.fixture
def call():
    def run(*arguments):
        told = []
        result = CliRunner().invoke(verb(sample, told.append), arguments)
        return told[0] if told else result.output

    return run


def test_what_is_not_given_has_the_default_of_the_function(call):
    assert call('a.py', '--names', 'cat') == dict(config='a.py', names='cat', launcher='none', seeds=(0,), lr=0.1)


@pytest.mark.parametrize(
    'arguments, expected',
    [
        (['--seeds', '0', '1', '-2'], dict(seeds=[0, 1, -2])),
        (['--seeds', '1', '--seeds', '2'], dict(seeds=[1, 2])),
        (['--cfg-options', 'a.b=1', 'c=[x,2]'], dict(cfg_options={'a.b': 1, 'c': ['x', 2]})),
        (['@{tmp_path}/more.txt', '1'], dict(seeds=[2, 3, 1])),
        (['--resume'], dict(resume=True)),
        (['--resume', 'a.pth', '--amp'], dict(resume='a.pth', amp=True)),
        (['--launcher', 'pytorch', '--local_rank=1'], dict(launcher='pytorch')),
        (['--work-dir', 'x'], dict(work_dir='x')),
    ],
)
def test_options_are_read_as_the_function_takes_them(call, arguments, expected, monkeypatch, tmp_path):
    (tmp_path / 'more.txt').write_text('# of training\n--seeds\n2 3  # two\n')
    arguments = [argument.format(tmp_path=tmp_path) for argument in arguments]
    monkeypatch.setenv('LOCAL_RANK', '0')
    given = call('a.py', '--names', 'cat', 'dog', *arguments)
    assert given.items() >= expected.items() and given['names'] == ['cat', 'dog']


@pytest.mark.parametrize(
    'arguments, words',
    [
        ([], "Missing argument 'CONFIG'"),
        (['a.py'], "Missing option '--names'"),
        (['a.py', '--names', 'cat', '--launcher', 'moon'], 'pytorch'),
        (['a.py', '--names', 'cat', '--cfg-options', 'a'], 'KEY=VALUE'),
        (['a.py', '--names', 'cat', '--cfg-options', "a=[dict(type='x'),dict(type='y',z=1)]"], 'into a config file'),
        (['a.py', '--names', 'cat', '--lr', '-1'], 'error: lr is -1.0'),
    ],
)
def test_what_is_wrong_is_said_in_a_line(call, arguments, words):
    assert words in call(*arguments)


def test_the_docstring_is_the_help(call):
    told = ' '.join(call('--help').split())
    assert 'It is a sample.' in told and '--resume [TEXT] Go on.' in told and '``' not in told


@pytest.mark.parametrize('name', VERBS)
def test_a_verb_is_listed_by_the_first_line_of_its_help(name):
    assert VERBS[name][1] in CliRunner().invoke(main, ['--help']).output
    assert VERBS[name][1].rstrip('.') in ' '.join(CliRunner().invoke(main, [name, '--help']).output.split())
