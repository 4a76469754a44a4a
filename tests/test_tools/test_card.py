"""All that is measured on a card: what fails, hangs or has no time left is listed, and the page says what was there."""

import configparser
import json
import os
import re
import time
from textwrap import dedent

import pytest
import torch

from mmlgd.benchmarks.card import page, running
from mmlgd.benchmarks.card.page import BEGIN, END, TARGETS, page_of, put_into
from mmlgd.benchmarks.card.parts import NAMES, Part, parts_of
from mmlgd.benchmarks.card.results import DONE, FAILED, LEFT, STOPPED, Outcome, Results
from mmlgd.benchmarks.card.running import run_parts
from mmlgd.errors import ConfigError
from tests import ROOT
from tests.scripts import script
from tests.test_run.test_child import is_alive

WRITES = """
import json, sys
*given, _, file = sys.argv[1:]
json.dump(dict(title='A title', table='| a |', seconds=3, given=given), open(file, 'w'))
"""
SCRIPTS = dict(
    good=WRITES,
    bad='print("hello"); raise KeyError("a")',
    silent='',
    half=WRITES + 'raise SystemExit(3)',
    hangs="""
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
        print(child.pid, flush=True)
        time.sleep(60)
        """,
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run parts whose scripts are above; what became of each, by its name."""
    folder = tmp_path / 'tools/benchmarks'
    folder.mkdir(parents=True)
    for name, text in SCRIPTS.items():
        (folder / f'{name}.py').write_text(dedent(text))
    monkeypatch.setattr(running, 'place_of', lambda name: tmp_path / name)

    def run(names, minutes=1.0):
        arguments = ['--images', 'IMAGES', '--out', 'OUT/a']
        asked = [Part(name, name, arguments, 4.0 if name == 'hangs' else 60.0) for name in names]
        found = list(run_parts(asked, tmp_path / 'photos', tmp_path, time.monotonic() + 60 * minutes))
        assert [one.name for one in found] == names
        return {one.name: one for one in found}

    return run


def test_what_fails_or_hangs_is_listed_and_the_rest_is_there(run, tmp_path):
    found = run(['bad', 'good', 'hangs', 'silent', 'half'])
    assert {name: one.state for name, one in found.items()} == dict(
        bad=FAILED, good=DONE, hangs=STOPPED, silent=FAILED, half=FAILED
    )
    assert found['good'].found['seconds'] == 3 and found['good'].error == ''
    assert found['good'].found['given'] == ['--images', str(tmp_path / 'photos'), '--out', str(tmp_path / 'a')]
    assert found['good'].command == 'python tools/benchmarks/good.py --images IMAGES --out OUT/a'
    error = found['bad'].error
    assert error.startswith('It ended with exit code 1.\nhello\n') and "KeyError: 'a'" in error
    assert 'no figures' in found['silent'].error
    assert 'exit code 3' in found['half'].error and found['half'].found['title'] == 'A title'
    assert found['hangs'].error.startswith('It was stopped after 4 s.') and 4 <= found['hangs'].seconds < 50
    grandchild = int((tmp_path / 'hangs.log').read_text())
    for _ in range(500):
        if not is_alive(grandchild):
            break
        time.sleep(0.01)
    else:
        os.kill(grandchild, 9)
        raise AssertionError('A process that the part had started is still there.')


def test_when_the_time_is_over_the_rest_is_not_run(run):
    found = run(['hangs', 'good', 'bad'], minutes=0.01)
    assert found['hangs'].state == STOPPED and 'after 1 s' in found['hangs'].error
    assert found['good'].state == found['bad'].state == LEFT and 'The time was over' in found['bad'].error


def results(outcomes, **changes):
    whole = dict(card='A card', versions=dict(torch='2.11.0'), date='2026-01-02', images='the folder `photos`')
    return Results(**{**whole, 'tiny': False, 'minutes': 9.0, 'outcomes': outcomes, **changes})


STEP = {page.LIVE: [0.02, 0.03, 0.04], page.STORED: [0.016], 'supervised ResNet-18 (floor)': [0.02]}
MEASURED = dict(
    step=dict(title='S', table='| s |', seconds_by_classes={k: STEP for k in ('80', '1000', '21841')}),
    lgka=dict(
        title='L',
        table='| l |',
        seconds_by_classes={k: {'VisualSemanticsBank.update': [0.0002]} for k in ('1000', '21841')},
    ),
    teacher=dict(title='T', table='| t |', seconds=dict(theirs=[1], ours=[0.012])),
    dense=dict(title='D', table='| d |', ratio=9.0),
)
OUTCOMES = [
    *(Outcome(k, f'python {k}.py', DONE, 9.0, '', MEASURED[k]) for k in ('step', 'lgka', 'teacher')),
    Outcome('dense', 'python dense.py', FAILED, 7.0, 'It ended with exit code 1.\n```x', MEASURED['dense']),
    Outcome('guided', 'python guided.py', LEFT, 0.0, 'The time was over.'),
]


def test_the_page_is_made_from_the_file_alone(tmp_path):
    results(OUTCOMES).write(tmp_path / 'card.json')
    read = Results.read(tmp_path / 'card.json')
    assert read == results(OUTCOMES)
    told = page_of(read)
    assert told.startswith('A card; torch 2.11.0. 2026-01-02, `make card`, 0.6 of 9 minutes.')
    rows = dict(re.findall(r'^\| ([^|]+) \|.*\| ([^|]*) \|$', told, flags=re.MULTILINE))
    ours = [rows[what].strip() for what, *_ in TARGETS]
    assert ours == ['8,533', '16,000, 1.25 ×', '0.2 ms', '0.2 ms', '12 ms', '1.00 ×', '']  # of a failed part nothing
    assert '| dense | failed | 7 |' in told and '| guided | not run | 0 |' in told
    assert '### D\n\n`python dense.py`' in told and 'It ended with exit code 1.\nx\n```' in told
    assert '### S\n\n`python step.py`\n\n| s |' in told


def test_without_a_card_nothing_is_said_of_one(tmp_path):
    told = page_of(results(OUTCOMES, card=None, tiny=True))
    assert '**no GPU: everything ran on a CPU**' in told and '**Tiny sizes**' in told and '8,533' not in told
    document = tmp_path / 'performance.md'
    document.write_text(f'before\n{BEGIN}\nold\n{END}\nafter\n')
    for changes, message in ((dict(card=None), 'without a GPU'), (dict(tiny=True), 'in tiny sizes')):
        with pytest.raises(ConfigError, match=message):
            put_into(document, results(OUTCOMES, **changes))
    assert 'old' in document.read_text()
    put_into(document, results(OUTCOMES))
    assert document.read_text() == f'before\n{BEGIN}\n\n{page_of(results(OUTCOMES))}\n{END}\nafter\n'
    document.write_text('none of it')
    with pytest.raises(ConfigError, match='Put them back'):
        put_into(document, results(OUTCOMES))


def test_the_page_in_the_docs_is_that_of_the_file_beside_it():
    file = ROOT / 'docs/card.json'
    there = Results.read(file) if file.is_file() else None
    text = (ROOT / 'docs/performance.md').read_text(encoding='utf-8')
    assert text.split(BEGIN)[1].split(END)[0].strip() == page_of(there).strip()


@pytest.mark.parametrize('content', ['', '[]', '{"outcomes": []}', '{"outcomes": [{"name": "step"}]}'])
def test_another_file_is_refused(tmp_path, content, capsys):
    (tmp_path / 'card.json').write_text(content)
    with pytest.raises(SystemExit, match='holds no results of `make card`'):
        script('benchmarks/card').main(['--write-docs', str(tmp_path / 'card.json')])
    with pytest.raises(SystemExit, match='No such file'):
        script('benchmarks/card').main(['--tiny', '--after', str(tmp_path / 'none.json'), '--out', str(tmp_path)])


@pytest.mark.skipif(torch.cuda.is_available(), reason='is about a machine without a GPU')
def test_full_sizes_need_a_card(capsys):
    with pytest.raises(SystemExit):
        script('benchmarks/card').main([])
    assert 'torch finds no GPU here' in capsys.readouterr().err


def test_every_benchmark_of_the_page_is_a_part():
    text = (ROOT / 'docs/performance.md').read_text(encoding='utf-8')
    named = set(re.findall(r'tools/benchmarks/(\w+)\.py', text.split(END)[1]))
    there = {part.script for part in parts_of(tiny=False)}
    assert named - there == {'memory', 'shards'}  # about memory without a card, and about disks
    assert [part.name for part in parts_of(tiny=True)] == NAMES


def test_outcomes_of_tests_are_kept_as_they_come(tmp_path):
    (tmp_path / 'test_some.py').write_text(
        dedent("""
        import pytest
        def test_good(): pass
        def test_bad(): assert 1 == 2, 'one is not two'
        @pytest.mark.skip(reason='needs a GPU')
        def test_skipped(): pass
        """)
    )
    (tmp_path / 'test_broken.py').write_text('import nothing_of_this_name')
    (tmp_path / 'pytest.ini').write_text('[pytest]\n')
    record = script('benchmarks/card_tests').Record(tmp_path / 'tests.json')
    options = ['-q', '-p', 'no:cacheprovider', '--continue-on-collection-errors', f'--rootdir={tmp_path}']
    assert pytest.main([*options, str(tmp_path)], plugins=[record]) == 1
    found = json.loads((tmp_path / 'tests.json').read_text())
    assert found['counts'] == dict(passed=1, failed=2, skipped=1)
    assert 'one is not two' in found['table'] and 'nothing_of_this_name' in found['table']
    assert 'Skipped: ' in found['table'] and 'needs a GPU' in found['table']
    record.pytest_runtest_logstart('test_some.py::test_that_hangs')
    assert 'It was in `test_some.py::test_that_hangs`.' in json.loads((tmp_path / 'tests.json').read_text())['table']


def test_wheels_have_the_ranges_of_setup_cfg_and_must_fit():
    wheels = script('benchmarks/card_wheels')
    asked = wheels.requirements()
    assert {'mmengine>=0.10.7,<0.11', 'mmcv-lite>=2.1.0,<2.2', 'setuptools<82', 'kornia>=0.8.1', 'addict'} <= set(asked)
    assert 0 < wheels.checkout_size() < wheels.MOST
    with pytest.raises(SystemExit, match='more than 64 MiB'):
        wheels.check_size(wheels.MOST, 1)


def test_the_page_is_there_from_the_first_part_on_and_drawing_counts(tmp_path, monkeypatch):
    card, seen = script('benchmarks/card'), []

    def parts(asked, images, out, end):
        seen.append(end - time.monotonic())
        for name in ('tests', 'step'):
            assert (out / 'card.md').exists() == (name == 'step')  # whoever ends it now has what was found
            yield Outcome(name, f'python {name}.py', DONE, 1.0, '', MEASURED['step'])

    monkeypatch.setattr(card, 'run_parts', parts)
    monkeypatch.setattr(card, 'write_demo_world', lambda folder, **sizes: time.sleep(0.2) or folder)
    card.main(['--tiny', '--minutes', '0.1', '--out', str(tmp_path)])
    assert seen[0] <= 6 - 0.2 and '### S' in (tmp_path / 'card.md').read_text()


def test_a_second_call_runs_what_the_first_left(tmp_path, monkeypatch, capsys):
    card, asked = script('benchmarks/card'), []
    states = {name: [LEFT, DONE] for name in NAMES}
    states |= dict(tests=[STOPPED, DONE], step=[DONE], training=[FAILED, DONE])
    limits = {part.name: part.limit for part in parts_of(tiny=True)}

    def run(parts, images, out, end):
        for part in parts:
            asked.append((part.name, part.limit / limits[part.name]))
            state = states[part.name].pop(0)
            yield Outcome(part.name, 'python a.py', state, 1.0, '', MEASURED['step'] if state == DONE else {})

    monkeypatch.setattr(card, 'run_parts', run)
    first, second = ['--tiny', '--images', str(ROOT / 'docs'), '--out'], tmp_path / 'second'
    with pytest.raises(SystemExit):
        card.main([*first, str(tmp_path)])
    assert [name for name, _ in asked] == NAMES
    before = ['--after', str(tmp_path / 'card.json')]
    asked.clear()
    card.main([*first, str(second), *before])  # does not exit: all is done
    assert asked == [('tests', 2.0), *((name, 1.0) for name in NAMES[2:])]
    found = Results.read(second / 'card.json')
    assert [one.name for one in found.outcomes] == NAMES and {one.state for one in found.outcomes} == {DONE}
    assert found.minutes == 16 and (second / 'card.md').read_text() == page_of(found)
    asked.clear()
    card.main([*first, str(tmp_path / 'third'), '--after', str(second / 'card.json')])
    assert asked == [] and Results.read(tmp_path / 'third/card.json').outcomes == found.outcomes
    with pytest.raises(SystemExit, match='images was the folder `docs`, and is the folder `tests`'):
        card.main(['--tiny', '--images', str(ROOT / 'tests'), '--out', str(second), *before])
    assert Results.read(second / 'card.json').minutes == 16  # what was there is there


def test_no_plugin_of_pytest_is_needed():
    """A machine with a card has pytest alone: with a mark that nobody knows, a whole file is not collected."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    known = {line.split(':')[0] for line in setup['tool:pytest']['markers'].split('\n')}
    known |= {'parametrize', 'skip', 'skipif', 'usefixtures', 'filterwarnings', 'xfail'}
    texts = (file.read_text(encoding='utf-8') for file in (ROOT / 'tests').rglob('*.py'))
    assert {mark for text in texts for mark in re.findall(r'pytest\.mark\.([a-z_]+)', text)} <= known


@pytest.mark.exhaustive
def test_every_part_runs_in_small(tmp_path):
    """Each in a process of its own, as on a card."""
    script('benchmarks/card').main(['--tiny', '--minutes', '60', '--out', str(tmp_path)])
    found = Results.read(tmp_path / 'card.json')
    assert [one.name for one in found.outcomes] == NAMES
    assert all(one.state == DONE and one.found['table'] and one.found['title'] for one in found.outcomes)
    told = (tmp_path / 'card.md').read_text()
    assert told == page_of(found) and all(one.found['table'] in told for one in found.outcomes)
    assert (tmp_path / 'step.png').stat().st_size > 5000
    if not torch.cuda.is_available():
        assert found.card is None and 'no GPU' in told and 'Skipped: ' in told
        assert found.outcomes[0].found['counts']['passed'] == 0 < found.outcomes[0].found['counts']['skipped']
