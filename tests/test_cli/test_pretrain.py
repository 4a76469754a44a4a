"""``mmlgd pretrain``: the function by the command, its help and its completion."""

import pytest
from click.shell_completion import CompletionItem
from click.testing import CliRunner

from mmlgd.cli import pretrain as module
from mmlgd.cli.__main__ import main
from mmlgd.run.child import RunError
from mmlgd.run.students import list_students
from mmlgd.text import list_vocabularies


@pytest.fixture
def command(images, tiny_clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'names.txt').write_text('cat\ndog\n')

    def call(*arguments, teacher=tiny_clip):
        given = ['--images', images, '--names', 'names.txt', 'coco', '--teacher', teacher, '--size', 64]
        return CliRunner().invoke(main, ['pretrain', *map(str, given), *map(str, arguments)])

    return call


def test_options_reach_the_function_and_the_config_is_printed(command, tmp_path):
    result = command('--recipe', 'small-data', '--dry-run', '--work-dir', 'run', '--cfg-options', 'model.queue.size=7')
    assert result.exit_code == 0, result.output
    text = (tmp_path / 'run/recipe/pretrain.py').read_text()
    assert text in result.output and 'size=7' in text and "'coco'" in text


def test_bad_input_is_one_paragraph(command):
    result = command(teacher='RN51')
    assert result.exit_code == 1 and result.output.startswith("error: open_clip has no model 'RN51'")
    assert command('--recipe', 'mine').exit_code == 2
    assert 'has taken' not in command('--cfg-options', 'a').output  # this verb has no arguments to take


@pytest.mark.parametrize(
    'error, said', [(ImportError('pip install x'), '`mmlgd doctor` checks'), (OSError('gone'), 'gone')]
)
def test_what_libraries_say_is_no_traceback(command, monkeypatch, error, said):
    def fails(*arguments):
        raise error

    monkeypatch.setattr('mmlgd.run.pretrain.teacher_settings', fails)
    result = command()
    assert result.exit_code == 1 and result.output.startswith('error: ') and said in result.output


def test_it_ends_as_its_tools_do(command, monkeypatch):
    monkeypatch.setattr('mmlgd.run.pretrain.run', lambda command: -15)
    assert command().exit_code == RunError('', -15).code == 143


def test_the_sets_are_those_of_the_package():
    assert sorted(module.SETS) == list_vocabularies()


def complete(name, incomplete):
    (option,) = (p for p in module.pretrain.params if p.name == name)
    return option.shell_complete(None, incomplete)


def test_completion_offers_sets_files_and_students():
    assert [(item.value, item.type) for item in complete('names', 'lv')] == [
        ('lvis-v1', 'plain'),
        ('lvis-v1+phrasings', 'plain'),
        ('lv', 'file'),
    ]
    assert [item.value for item in complete('student', '')] == ['resnet18', 'mobilenetv2', 'timm:', 'mmpretrain:']
    regnets = [item.value for item in complete('student', 'mmpretrain:regnetx-4')]
    assert regnets == ['mmpretrain:regnetx-4.0gf', 'mmpretrain:regnetx-400mf']
    assert all(isinstance(item, CompletionItem) for item in complete('student', 'm'))


def test_students_are_listed():
    result = CliRunner().invoke(main, ['pretrain', '--list-students'])
    assert result.exit_code == 0 and result.output.split() == list_students()


def test_help_teaches():
    for arguments in (['--help'], ['pretrain', '--help'], ['doctor', '-h']):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0 and 'mmlgd' in result.output
    lines = CliRunner().invoke(main, ['--help']).output.splitlines()
    assert '  eval "$(_MMLGD_COMPLETE=bash_source mmlgd)"'.strip() in map(str.strip, lines)  # a line of its own
