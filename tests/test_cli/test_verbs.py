"""A command out of a function: what its options read, and how it fails."""

import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Optional, Union

import pytest
from click.testing import CliRunner

import mmlgd
from mmlgd.cli.__main__ import VERBS, main
from mmlgd.cli.verbs import verb
from mmlgd.errors import ConfigError
from mmlgd.utils.stopping import Stopped


def sample(
    config: str,
    images: Sequence[str] = (),
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
            file. In Python it can also be a mmengine.Config.
        images (Sequence[str]): Files.
        names (str | Sequence[str]): Class names. Defaults to None: the names of training.
        resume (bool | str): Go on, with ``amp``. Defaults to False.
        seeds (Sequence[int]): SEED=NUMBER of each.
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
    assert call('a.py', '--names', 'cat') == dict(
        config='a.py', names='cat', images=(), launcher='none', seeds=(0,), lr=0.1
    )


@pytest.mark.parametrize(
    'arguments, expected',
    [
        (['--seeds', '0', '1', '-2'], dict(seeds=[0, 1, -2])),
        (['--seeds', '1', '--seeds', '2'], dict(seeds=[1, 2])),
        (['--cfg-options', 'a.b=1', 'c=[x,2]', 'd=a b'], dict(cfg_options={'a.b': 1, 'c': ['x', 2], 'd': 'a b'})),
        (['--', '--amp'], dict(images=['--amp'])),
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
        (['a.py', '@.'], "the words in a text file, but '.' is a folder. Give a file in it"),
        (['a.py', '@nowhere'], "No such file or directory: 'nowhere'."),
        (['a.py', '--names', 'cat', '--lr', '-1'], 'error: lr is -1.0'),
        (['--names', 'cat', 'a.py'], "--names has taken 'cat a.py'"),
        (['--names', 'cat', '--resume', 'a.py'], 'Give the arguments first: sample CONFIG [IMAGES]... --names'),
        (['--names', 'cat', '--seeds', '0', 'a.py'], "--seeds has taken '0 a.py'"),
        (['a.py', '--names', 'cat', '--cfg-options', 'a'], "got 'a'. --cfg-options has taken"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(call, arguments, words):
    assert words in call(*arguments)


def test_the_docstring_is_the_help_of_a_shell_user(call):
    told = ' '.join(call('--help').split())
    assert told.startswith('Usage: sample CONFIG [IMAGES]... --names NAME... [OPTIONS] Train a config.')
    assert 'It is a sample. Arguments: CONFIG A config file. IMAGES Files. Options:' in told
    assert '--names NAME... Class names. Defaults to the names of training.' in told
    assert '--resume [TEXT] Go on, with --amp. --' in told and '--seeds SEED=NUMBER...' in told


@pytest.mark.parametrize('name', [*VERBS, 'show map', 'show banks', 'show neighbours'])
def test_no_help_speaks_python(name):
    told = ' '.join(CliRunner().invoke(main, [*name.split(), '--help']).output.split())
    assert not re.search(r'``|None|True|False|In Python|Optional|List\[|isinstance|\w+=\d\)|\.\.\. *$', told)


@pytest.mark.parametrize('name', [*VERBS, 'show map', 'show banks', 'show neighbours'])
def test_a_default_is_a_thing_and_no_sentence(name):
    told = ' '.join(CliRunner().invoke(main, [*name.split(), '--help']).output.split())
    assert not re.findall(r'Defaults to [^.;,]* (?:gets?|are|has|have)\b[^.]*', told)


def test_no_help_waits_for_a_large_package():
    """A second for torch, five for all of them: so long would each <TAB> take, too."""
    code = f"""
import sys
from mmlgd.cli.__main__ import main
for name in {[*VERBS, 'show map']}:
    main([*name.split(), '--help'], standalone_mode=False)
main(['pretrain', '--list-students'], standalone_mode=False)
large = {{'torch', 'mmcv', 'mmpretrain', 'open_clip', 'timm', 'transformers', 'matplotlib', 'scipy', 'cv2'}}
print(sorted(large & {{*sys.modules}}))
"""
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == '[]' and run.stdout.count('Usage: ') == len(VERBS) + 1


def test_a_verb_names_a_wrong_stack_before_it_starts(monkeypatch):
    monkeypatch.setattr('mmengine.__version__', '0.1.0')
    told = CliRunner().invoke(main, ['train', 'mine.py']).output
    assert 'error: mmlgd needs mmengine>=' in told and '`mmlgd doctor` checks' in told


@pytest.mark.parametrize('arguments', [[], ['show']])
def test_a_list_of_verbs_cuts_no_line(arguments):
    listed = CliRunner().invoke(main, [*arguments, '--help']).output.split('Commands:')[1]
    assert '...' not in listed


def test_every_verb_is_a_function_as_the_help_says():
    functions = dict(store='store_teacher', names='report_names', teacher='ask_teacher', show='draw_map')
    for name in {*VERBS} - {'doctor'}:
        assert callable(getattr(mmlgd, functions.get(name, name)))


@pytest.mark.parametrize('name', VERBS)
def test_a_verb_is_listed_by_the_first_line_of_its_help(name):
    assert VERBS[name][1] in CliRunner().invoke(main, ['--help']).output
    assert VERBS[name][1].rstrip('.') in ' '.join(CliRunner().invoke(main, [name, '--help']).output.split())


@pytest.mark.parametrize(
    'typed, command',
    [
        (['a b.py', '--names', 'x', '--seeds', '1', '2'], "'a b.py' --names x --seeds 1 2 --resume"),
        (['c.py', '--names', 'x', '--resume', '--amp'], 'c.py --names x --resume --amp'),
    ],
)
def test_a_stopped_verb_prints_what_is_safe_and_the_command_that_goes_on(typed, command):
    def stopped(
        config: str, *, names: str, seeds: Sequence[int] = (), resume: Union[bool, str] = False, amp: bool = False
    ) -> None:
        stop = Stopped(signal.SIGTERM)
        stop.safe = 'Nothing is lost.'
        raise stop

    result = CliRunner().invoke(verb(stopped), typed, prog_name='mmlgd train')
    assert result.exit_code == 143 and result.stderr == f'\nNothing is lost. Go on with:\n  mmlgd train {command}\n'


def test_a_verb_below_another_prints_what_was_typed_above(monkeypatch):
    def stopped(config: str) -> None:
        stop = Stopped(signal.SIGINT)
        stop.safe = 'Nothing is lost.'
        raise stop

    monkeypatch.setenv('MMLGD_COMMAND', 'mmlgd pretrain --images a --resume')
    result = CliRunner().invoke(verb(stopped), ['x'])
    assert result.exit_code == 130 and result.stderr.endswith('Go on with:\n  mmlgd pretrain --images a --resume\n')
    monkeypatch.delenv('MMLGD_COMMAND')
    monkeypatch.setenv('WORLD_SIZE', '2')  # of torchrun, whose arguments nobody knows
    assert 'command that started all processes, and --resume' in CliRunner().invoke(verb(stopped), ['x']).stderr


def test_a_misspelt_verb_is_answered_with_the_nearest():
    told = CliRunner().invoke(main, ['pretrian', '--images', 'x'])
    assert told.exit_code == 2 and "Did you mean 'pretrain'?" in told.output
    assert "No such command 'zzz'" in CliRunner().invoke(main, ['zzz']).output
