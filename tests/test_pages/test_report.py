"""The function and the command."""

import builtins
import re

import pytest
from click.testing import CliRunner

import mmlgd
from mmlgd.cli.__main__ import main
from mmlgd.errors import ConfigError, MissingFileError, MissingPackageError
from mmlgd.pages.folders import read_folder
from mmlgd.pages.page import sections_of


def test_one_file_with_the_answer_first(work_dir, evaluated, compared, studied, labelled, tmp_path):
    out = tmp_path / 'pages' / 'report.html'
    comparison = compared({'random': {'0': 1.0}, 'lgd': {'0': 2.0}})
    folders = [work_dir(), evaluated(), comparison, studied]
    arguments = ['report', *map(str, folders), '--images', str(labelled), '--out', str(out)]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0 and f'Written: {out}' in done.output
    page = out.read_text(encoding='utf-8')
    titles = re.findall(r'<h2>(.+?)</h2>', page)
    assert titles == [
        *('The answer', 'What was trained', 'Curves', 'Student beside teacher', 'What it answers for your images'),
        *('Banks', 'Downstream and studies', 'Cost', 'What to do next', 'Commands'),
    ]
    assert 'agrees with its teacher on 58 %' in page.split('<h2>What was trained')[0]
    assert page.count('<img src="data:image/jpeg;base64,') == 10 and 'src="http' not in page


def test_a_table_alone_needs_no_student(evaluated, tmp_path):
    out = mmlgd.report(evaluated(), out=tmp_path / 'report.html')
    page = out.read_text(encoding='utf-8')
    assert re.findall(r'<h2>(.+?)</h2>', page) == [
        *('The answer', 'Student beside teacher', 'What to do next', 'Commands')
    ]


def test_folders_of_one_name_are_told_apart(work_dir, evaluated, tmp_path):
    for seed in '01':
        (tmp_path / seed).mkdir()
    folders = [work_dir('0/run'), work_dir('1/run'), evaluated('0/table'), evaluated('1/table')]
    runs = [read_folder(folder) for folder in folders]
    title, (answers, *_) = sections_of(runs, None, 1, tmp_path / 'report.html')
    assert title == f'Report: {folders[0]}, {folders[1]}'
    assert [one.text.split(': ')[0] for one in answers.blocks] == [*map(str, folders)]
    title, _ = sections_of([read_folder(folders[0])], None, 1, tmp_path / 'report.html')
    assert title == 'Report: run'


def test_wrong_arguments(evaluated, work_dir, labelled, tmp_path):
    folder = evaluated()
    with pytest.raises(ConfigError, match='nothing to report'):
        mmlgd.report([])
    with pytest.raises(ConfigError, match='such as report.html'):
        mmlgd.report(folder, out='report.pdf')
    with pytest.raises(MissingFileError, match='--images expects a folder'):
        mmlgd.report(folder, images=tmp_path / 'none')
    with pytest.raises(ConfigError, match='needs a student'):
        mmlgd.report(folder, images=labelled, out=tmp_path / 'a.html')
    with pytest.raises(ConfigError, match='lies in the folder of images'):
        mmlgd.report(work_dir(), images=labelled, out=labelled / 'a.html')
    assert not list(tmp_path.rglob('*.html'))


def test_a_missing_package_is_named(evaluated, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split('.')[0] == 'page' or name.endswith('.page'):
            raise ModuleNotFoundError("No module named 'plotly'", name='plotly')
        return real(name, *args, **kwargs)

    folder = evaluated()
    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(MissingPackageError, match=r"'plotly'. A report needs it: `pip install \"mmlgd\[report\]\"`"):
        mmlgd.report(folder, out=tmp_path / 'report.html')
