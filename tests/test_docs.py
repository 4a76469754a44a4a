"""What the pages say works: commands parse with the tools' own parsers, Python blocks run, errors exist in the code."""

import argparse
import ast
import json
import re
import runpy
import shlex
import statistics
import sys

import click
import pytest
import torch
from mmengine.config import Config
from mmengine.visualization import Visualizer

import mmlgd
from mmlgd.checkpoints import read_checkpoint
from mmlgd.cli.__main__ import main
from mmlgd.models import OpenCLIPTeacher
from mmlgd.registry import MODELS
from mmlgd.text import load_vocabulary
from tests import ROOT

PAGES = sorted([ROOT / 'README.md', *(ROOT / 'docs').glob('*.md'), *(ROOT / 'configs').rglob('README.md')])
BLOCK = re.compile(r'^```(\w+)\n(.*?)^```', flags=re.MULTILINE | re.DOTALL)
# What a reader puts in: a word in capitals where a number is read has none in the pages.
ASSIGNMENT = re.compile(r'\w+=.*')

pytestmark = pytest.mark.skipif(not (ROOT / 'docs').is_dir(), reason='the pages lie in the source tree only')


def blocks(language):
    """Each with an id that names page and line."""
    for page in PAGES:
        text = page.read_text(encoding='utf-8')
        for match in BLOCK.finditer(text):
            if match[1] == language:
                line = text[: match.start()].count('\n') + 2
                yield pytest.param(match[2], id=f'{page.relative_to(ROOT).as_posix()}:{line}')


def commands():
    for block in blocks('bash'):
        (text,) = block.values
        for line in re.sub(r'\\\n', ' ', text).splitlines():
            words = shlex.split(line, comments=True)
            while words and ASSIGNMENT.fullmatch(words[0]):
                words.pop(0)
            if words and words[0] != 'export':
                yield pytest.param(words, id=f'{block.id}:{shlex.join(words)[:60]}')


class Parsed(Exception):
    """A tool has got as far as its arguments."""


@pytest.fixture
def parse(monkeypatch):
    """Start a tool with a command line, and stop it when its own parser has read all of it."""
    original = argparse.ArgumentParser.parse_args

    def parse_args(self, args=None, namespace=None):
        found = original(self, args, namespace)
        if self.add_help:  # else it is that of one option
            raise Parsed
        return found

    of_a_group = click.Command.invoke

    def invoke(self, ctx):
        if isinstance(self, click.Group):  # which goes on to the verb
            return of_a_group(self, ctx)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_args)
    monkeypatch.setattr(click.Command, 'invoke', invoke)  # of a verb, which a shim calls

    def parse(tool, arguments):
        monkeypatch.setattr(sys, 'argv', [str(tool), *arguments])
        with pytest.raises(Parsed):
            runpy.run_path(str(tool), run_name='__main__')

    return parse


@pytest.mark.parametrize('words', list(commands()))
def test_a_command_is_one(words, parse, monkeypatch):
    for word in words:
        if word.startswith(('configs/', 'tools/', 'examples/')):
            assert list(ROOT.glob(word)), f'{word} does not exist'
    program, *arguments = words
    if program == 'torchrun':
        module = arguments.index('-m')
        assert arguments[module + 1] == 'mmlgd.cli'
        program, arguments = 'mmlgd', arguments[module + 2 :]
    if program == 'python':
        parse(ROOT / arguments[0], arguments[1:])
    elif program == 'mmlgd':
        monkeypatch.undo()  # its pairs of KEY=VALUE are read by argparse
        group, parent = main, click.Context(main, **main.context_settings)
        while isinstance(group, click.Group):
            name, *arguments = arguments
            group = group.get_command(parent, name)
        group.make_context(name, arguments, parent=parent)
    elif program == 'mim':
        assert arguments[0] == 'train' and arguments[1] in ('mmlgd', 'mmdet', 'mmseg')
    elif program == 'make':
        targets = re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), flags=re.MULTILINE)
        assert {word for word in arguments if '=' not in word} <= set(targets)
    elif program == 'pip':
        extras = re.findall(r'^([a-z-]+) =$', (ROOT / 'setup.cfg').read_text(), flags=re.MULTILINE)
        asked = re.findall(r'\[([a-z,-]+)\]', ' '.join(arguments))
        assert arguments[0] == 'install' and {e for names in asked for e in names.split(',')} <= set(extras)
    elif program.endswith('.sh'):
        assert (ROOT / program).is_file()
    else:
        assert program in ('bash', 'eval'), f'This test does not know {program}.'


def test_an_option_that_a_tool_has_not_is_found(parse, capsys):
    for tool in ('train.py', 'evaluate.py'):
        with pytest.raises(SystemExit):
            parse(ROOT / 'tools' / tool, ['CONFIG', '--bogus'])
        assert 'error: ' in capsys.readouterr().err.lower()


@MODELS.register_module()
class NamedTeacher(OpenCLIPTeacher):
    """A teacher that a checkpoint may name without a place, as CLIP RN50 is."""

    place = ''

    def __init__(self, **named):
        super().__init__(**{'model': self.place, **named})


@pytest.fixture
def surroundings(tmp_path, monkeypatch, lgd_checkpoint, lgd_model, tiny_clip, images):
    """A folder that has what the pages speak of: a checkpoint, its teacher, images, the configs."""
    run = tmp_path / 'work_dirs' / 'RUN'
    run.mkdir(parents=True)
    monkeypatch.setattr(NamedTeacher, 'place', tiny_clip)
    content = read_checkpoint(lgd_checkpoint)
    model = {**lgd_model, 'teacher': dict(type='mmlgd.NamedTeacher')}
    content['meta']['cfg'] = Config(dict(default_scope='mmpretrain', model=model)).pretty_text
    torch.save(content, run / 'epoch_200.pth')
    (tmp_path / 'my').mkdir()
    (tmp_path / 'my' / 'clip').symlink_to(tiny_clip.removeprefix('local-dir:'))
    (tmp_path / 'my' / 'images').symlink_to(images)
    categories = [dict(id=2, name='air', **{'def': 'a machine'}), dict(id=1, name='can', **{'def': 'a spray'})]
    (tmp_path / 'my' / 'lvis_v1_val.json').write_text(json.dumps(dict(categories=categories)))
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('block', list(blocks('python')))
def test_a_python_block_runs(block, surroundings):
    tree = ast.parse(block)
    is_script = isinstance(tree.body[0], (ast.Import, ast.ImportFrom))
    if is_script or re.search(r'\bmmlgd\.[A-Za-z]', re.sub(r'([\'"]).*?\1', '', block)):
        exec(compile(tree, 'block', 'exec'), dict(mmlgd=mmlgd))
        return
    base = next((ast.literal_eval(s.value) for s in tree.body if getattr(s.targets[0], 'id', '') == '_base_'), [])
    for library in ('mmdet', 'mmseg'):
        if f'{library}::' in str(base):
            pytest.importorskip(library)
    # A name without a folder is a config beside the reader's own, in configs/lgd.
    folder = 'configs/lgd' if isinstance(base, str) and '/' not in base else '.'
    if isinstance(base, str) and base.startswith('mmlgd::'):
        block = block.replace('mmlgd::', f'{ROOT}/configs/')  # the tree under test, not the installed package
    file = surroundings / 'mine.py'
    if folder != '.':
        block = block.replace(f"_base_ = '{base}'", f"_base_ = '{folder}/{base}'")
    file.write_text(block)
    assert len(Config.fromfile(file)) > 0


def test_definitions_of_lvis_stand_behind_its_synonyms(surroundings):
    (block,) = (block.values[0] for block in blocks('python') if 'lvis_v1_val.json' in block.values[0])
    exec(compile(block, 'block', 'exec'), {})
    first, second = load_vocabulary('my/lvis.txt')
    assert first.startswith('aerosol can|') and first.endswith('|a spray') and second.endswith('|a machine')


@pytest.mark.parametrize(
    ('board', 'package'), [('Tensorboard', 'tensorboard'), ('Wandb', 'wandb'), ('MLflow', 'mlflow')]
)
def test_a_board_takes_what_a_run_logs(board, package, tmp_path, monkeypatch):
    """The line of the page as it is, with mmengine's own visualizer; no network."""
    pytest.importorskip(package, reason=f'needs the package `{package}`')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('WANDB_MODE', 'offline')
    (block,) = (block.values[0] for block in blocks('python') if f'{board}VisBackend' in block.values[0])
    backends = Config.fromstring(block, '.py').visualizer.vis_backends
    assert backends[0].type == 'LocalVisBackend'
    visualizer = Visualizer(name=f'{tmp_path.name}', vis_backends=backends, save_dir=str(tmp_path / 'run'))
    visualizer.add_config(Config(dict(model=dict(type='mmlgd.LGD'), work_dir=str(tmp_path / 'run'))))
    visualizer.add_scalars(dict(loss=1.0, agreement=61.0), step=1)
    visualizer.close()
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*') if path.is_file()}
    assert 'run/vis_data/scalars.json' in written
    assert any(re.search(r'tfevents|\.wandb$|mlflow\.db$', name) for name in written)


def test_the_pages_have_blocks_at_all():
    assert len(list(commands())) > 40 and len(list(blocks('python'))) > 10


LINK = re.compile(r'\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)')


def anchors(page):
    """Those that GitHub and the site give the headings of a page."""
    text = re.sub(r'^```.*?^```', '', page.read_text(encoding='utf-8'), flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r'^#+ (.*)', text, flags=re.MULTILINE):
        yield re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-')


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_link_leads_to_a_file_and_a_heading_of_it(page):
    for place, anchor in LINK.findall(page.read_text(encoding='utf-8')):
        target = page.parent / place if place else page
        assert target.exists(), place
        assert not anchor or anchor in anchors(target), f'{place}#{anchor}'


def test_a_new_environment_gets_the_torch_that_is_tested():
    pinned = re.search(r'^TORCH \?= (.+)$', (ROOT / 'Makefile').read_text(), flags=re.MULTILINE)[1]
    for file in ('README.md', 'docs/get_started.md', 'mmlgd/cli/doctor.py'):
        assert f'pip install {pinned}' in (ROOT / file).read_text(encoding='utf-8')


def messages():
    """All texts of the sources, with … where a value goes."""
    found = set()
    for file in (file for folder in ('mmlgd', 'tools') for file in (ROOT / folder).rglob('*.py')):
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
            if isinstance(node, ast.JoinedStr):
                found.add(''.join(v.value if isinstance(v, ast.Constant) else '…' for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return '\n'.join(found)


# Said by others: Python, torch, mmengine, the C library.
FOREIGN = (
    'No module named',
    'cannot import name',
    'need at least one array to concatenate',
    'unable to open shared memory object',
    'Bus error',
    'CUDA out of memory',
    'implementation for device',
    'Weights only load failed',
    'Connection reset by peer',
    'Connection closed by peer',
    'Timed out waiting',
    'Watchdog caught collective operation timeout',
)


def test_every_error_of_the_page_is_one_of_the_code():
    page = (ROOT / 'docs/troubleshooting.md').read_text(encoding='utf-8')
    rows = [line.split('|')[1] for line in page.splitlines() if line.startswith('| `')]
    quoted = [text for row in rows for text in re.findall(r'`([^`]+)`', row) if text != 'import mmlgd']
    assert len(quoted) > 40
    said = messages()
    unknown = [text for text in quoted if text not in said and not text.startswith(FOREIGN)]
    assert not unknown


@pytest.mark.exhaustive  # `make docs` builds them, too
def test_the_pages_build_without_a_warning(tmp_path):
    sphinx = pytest.importorskip('sphinx.application', reason='needs the extra `docs`')
    app = sphinx.Sphinx(
        ROOT, ROOT / 'docs', tmp_path / 'out', tmp_path / 'trees', 'html', status=None, warningiserror=True
    )
    app.build()
    assert app.statuscode == 0
    assert (tmp_path / 'out/docs/store.html').is_file() and (tmp_path / 'out/index.html').is_file()


def test_the_classes_with_several_phrasings_are_counted():
    page = (ROOT / 'docs/vocabularies.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| `([\w-]+\+phrasings)` \|.*\| ([\d,]+) of ([\d,]+) \|$', page, flags=re.MULTILINE)
    known = {name for name in mmlgd.text.list_vocabularies() if name.endswith('+phrasings')}
    assert {name for name, *_ in rows} == known
    for name, *counts in rows:
        several = [len(mmlgd.text.phrasings(one)) > 1 for one in mmlgd.text.load_vocabulary(name)]
        assert [f'{sum(several):,}', f'{len(several):,}'] == counts, name


NUMBER = r'[+−]?[\d.]+'
SEEDS = re.compile(rf'((?:{NUMBER}, )+{NUMBER}) \(\*\*({NUMBER})\*\*(?: ± ({NUMBER}))?\)')


def of_seeds(cell):
    """What each seed has, the mean and the deviation; None for a cell without."""
    found = SEEDS.fullmatch(cell.strip())
    return found and [[float(x.replace('−', '-')) for x in (part or '').split(', ') if x] for part in found.groups()]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_mean_and_a_deviation_are_those_of_the_seeds_beside_them(page):
    """Up to the rounding of all three."""
    for found in SEEDS.finditer(page.read_text(encoding='utf-8')):
        values, (mean,), deviation = of_seeds(found[0])
        assert statistics.mean(values) == pytest.approx(mean, abs=0.101), found[0]
        assert not deviation or statistics.stdev(values) == pytest.approx(deviation[0], abs=0.101), found[0]


@pytest.mark.parametrize('table', ['Streets: CamVid', 'Blood cells: BCCD', 'Debris on runways'])
def test_the_differences_of_dense_lgd_are_those_of_the_rows_above_them(table):
    page = (ROOT / 'docs/dense_tables.md').read_text(encoding='utf-8')
    lines = page.split(f'## {table}\n')[1].split('\n## ')[0].splitlines()
    rows = {
        name.strip(): [of_seeds(cell) for cell in cells] for name, *cells in (x.strip('|').split('|') for x in lines)
    }
    (dense,) = (cells for name, cells in rows.items() if name.startswith('**dense LGD**'))
    assert len(dense) == 6
    full = rows['none: a random start'][4:]  # all labels and 10 % of them, at the full rate
    for others, told in (
        (rows['LGD on images'], rows['dense LGD over LGD on images']),
        (3 * full, rows['dense LGD over the random start, trained × 1']),
    ):
        for one, other, difference in zip(dense, others, told):
            for ours, theirs, said in zip(one[0] + one[1], other[0] + other[1], difference[0] + difference[1]):
                assert ours - theirs == pytest.approx(said, abs=0.151)
