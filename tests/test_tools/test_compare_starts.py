"""Starts are compared on equal terms, once each, and failures are said."""

import importlib.util
import json
from textwrap import dedent

import pytest

from mmlgd.errors import ConfigError
from tests import ROOT

FILE = ROOT / 'tools/benchmarks/compare_starts.py'


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """The tool, with a stand-in for tools/train.py that logs 10 + seed, or 20 + seed if it starts from a student.

    It runs in a folder with two configs.
    """
    monkeypatch.chdir(tmp_path)
    for name in ('config.py', 'c.py'):
        (tmp_path / name).write_text('model = dict()')
    monkeypatch.syspath_prepend(str(FILE.parent))
    spec = importlib.util.spec_from_file_location('compare_starts', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    train = tmp_path / 'train.py'
    train.write_text(
        dedent("""
            import json, pathlib, sys
            options = sys.argv[1:]
            config, student, work_dir = options[0], options[2], options[4]
            seed = int(options[6].split('=')[1])
            if student == 'broken':
                sys.exit('CheckpointError: broken has no backbone')
            if student == 'silent':
                sys.exit()
            log = pathlib.Path(work_dir) / '20260101_000000/vis_data/scalars.json'
            log.parent.mkdir(parents=True)
            value = seed + (10 if student == 'none' else 20)
            lines = [dict(lr=0.1, loss=1.0, step=1), dict(mIoU=1.0, step=1), dict(mIoU=value, step=2)]
            lines = [dict(line, recall=9.0) if 'mIoU' in line else line for line in lines]
            log.write_text('\\n'.join(map(json.dumps, lines)))
            """)
    )
    monkeypatch.setattr(module, 'TOOLS', tmp_path)
    return module


def test_mean_and_spread_over_seeds(compare, tmp_path, capsys):
    work_dir = tmp_path / 'runs'
    arguments = ['config.py', '--metric', 'mIoU', '--work-dir', str(work_dir), '--starts', 'random=none', 'lgd=a=b.pth']
    compare.main([*arguments, '--seeds', '0', '2'])
    printed = capsys.readouterr().out
    assert '| random | 10 | 12 | 11 ± 1.4 |' in printed and '| lgd | 20 | 22 | 21 ± 1.4 |' in printed
    assert json.loads((work_dir / 'table.json').read_text())['lgd'] == {'0': 20, '2': 22}
    command = json.loads((work_dir / 'lgd_seed2/result.json').read_text())['command']
    assert command[3:5] == ['--student', 'a=b.pth'] and 'randomness.seed=2' in command

    # A second call repeats nothing (the stand-in would fail on its own log), and a seed can be added.
    compare.main([*arguments, '--seeds', '0', '2', '4'])
    assert '| random | 10 | 12 | 14 | 12 ± 2 |' in capsys.readouterr().out


def test_a_failing_run_is_named_with_its_last_words(compare, tmp_path):
    with pytest.raises(RuntimeError, match='output.txt and ends with\nCheckpointError: broken has no backbone'):
        compare.main(['c.py', '--metric', 'mIoU', '--work-dir', str(tmp_path / 'runs'), '--starts', 'bad=broken'])


def test_wrong_arguments(compare, tmp_path, capsys):
    with pytest.raises(ConfigError, match="no 'AP'; it has mIoU"):
        compare.main(['c.py', '--metric', 'AP', '--work-dir', str(tmp_path / 'runs'), '--starts', 'random=none'])
    with pytest.raises(SystemExit):
        compare.main(['c.py', '--metric', 'AP', '--starts', 'none'])
    assert 'NAME=START' in capsys.readouterr().err


def test_a_foreign_line_in_a_log_is_no_evaluation(compare, tmp_path):
    log = tmp_path / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"mIoU": 11, "step": 2}\nnull\n{"note": "mine"}\n{"step": 3, "note": "mine"}\n{"mIoU": 1')
    assert compare.last_metric(log, 'mIoU') == 11
    with pytest.raises(ConfigError, match='no .acc.; it has'):
        compare.last_metric(log, 'acc')


@pytest.fixture
def arguments(tmp_path):
    (tmp_path / 'a.pth').write_bytes(b'a student')
    runs = ['--work-dir', str(tmp_path / 'runs'), '--starts', 'lgd=a.pth', '--seeds', '0']
    return ['config.py', '--metric', 'mIoU', *runs]


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda folder, given: given.__setitem__(given.index('lgd=a.pth'), 'lgd=b.pth'), 'student a.pth .*asked for'),
        (lambda folder, given: given.__setitem__(0, 'c.py'), 'train.py config.py .*asked for is `train.py c.py'),
        (lambda folder, given: given.extend(['--cfg-options', 'model.depth=1']), r'seed=0 model.depth=1`'),
        (lambda folder, given: (folder / 'a.pth').write_bytes(b'another'), 'another content of a.pth'),
        (lambda folder, given: (folder / 'config.py').write_text('model = 1'), 'another content of config.py'),
        (lambda folder, given: (folder / 'runs/lgd_seed0/result.json').write_text('{"mIoU": 1}'), 'not recorded'),
    ],
    ids=['checkpoint', 'config', 'options', 'weights', 'settings', 'record'],
)
def test_another_run_under_the_same_name_is_refused(compare, arguments, tmp_path, change, message):
    compare.main(arguments)
    change(tmp_path, arguments)
    with pytest.raises(ConfigError, match=message):
        compare.main(arguments)


def test_a_start_that_detects_nothing_has_no_precision_and_keeps_its_run(compare, arguments, tmp_path):
    log = tmp_path / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"lr": 1, "loss": 1, "step": 1}\n{"data_time": 0.1, "time": 0.2, "step": 1}\n')
    assert compare.last_metric(log, 'coco/bbox_mAP') == 0
    arguments[arguments.index('mIoU')] = 'acc'
    with pytest.raises(ConfigError, match="no 'acc'; it has mIoU, recall"):
        compare.main(arguments)
    assert (tmp_path / 'runs/lgd_seed0/result.json').is_file()
    arguments[arguments.index('acc')] = 'mIoU'
    (tmp_path / 'train.py').write_text('import sys; sys.exit("trained once more")')
    compare.main(arguments)


def test_a_record_of_an_earlier_version_says_too_little(compare, arguments, tmp_path):
    compare.main(arguments)
    result = tmp_path / 'runs/lgd_seed0/result.json'
    told = json.loads(result.read_text())
    told.pop('contents')
    result.write_text(json.dumps(told))
    with pytest.raises(ConfigError, match='were not recorded'):
        compare.main(arguments)


def test_another_metric_of_a_run_needs_no_other_run(compare, arguments, capsys):
    compare.main(arguments)
    arguments[arguments.index('mIoU')] = 'recall'
    compare.main(arguments)
    assert '| lgd | 9 | 9 ± 0 |' in capsys.readouterr().out


def test_the_log_of_a_run_that_was_stopped_gives_no_figure(compare, arguments, tmp_path):
    for name in ('lgd', 'silent'):
        log = tmp_path / f'runs/{name}_seed0/20990101_000000/vis_data/scalars.json'
        log.parent.mkdir(parents=True)
        log.write_text(json.dumps(dict(mIoU=99.0, step=1)))
    compare.main(arguments)
    assert json.loads((tmp_path / 'runs/table.json').read_text()) == dict(lgd={'0': 20})
    arguments[arguments.index('lgd=a.pth')] = 'silent=silent'
    with pytest.raises(RuntimeError, match='ended without an evaluation'):
        compare.main(arguments)


@pytest.mark.parametrize('seed', ['-1', str(2**32), '1.5', '9' * 5000])
def test_a_seed_that_is_none_is_refused_before_the_first_run(compare, arguments, seed, capsys):
    with pytest.raises(SystemExit):
        compare.main([*arguments[:-1], seed])
    assert 'expected a seed from 0 to 4294967295' in capsys.readouterr().err
