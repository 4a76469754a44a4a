"""Starts are compared on equal terms, once each, and failures are said."""

import json
import subprocess
import sys
from textwrap import dedent

import pytest
from click.testing import CliRunner

import mmlgd
from mmlgd.cli.__main__ import main
from mmlgd.errors import ConfigError, MissingFileError, MMLGDError
from mmlgd.run.child import RunError
from mmlgd.studies import grid, runs
from mmlgd.studies.metrics import last_evaluation
from mmlgd.utils.files import LockedError, WriteError

EVALUATOR = "\nval_evaluator = dict(type='IoUMetric')\n"


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """The function, with a stand-in for `mmlgd train` that logs 10 + seed, or 20 + seed if it starts from a student.

    It runs in a folder with two configs.
    """
    monkeypatch.chdir(tmp_path)
    for name in ('config.py', 'c.py'):
        (tmp_path / name).write_text(
            f'model = dict(type="Any", sizes=[1])\ndata_root = None\nbackbone_rate = 1.0{EVALUATOR}'
        )
    for name in ('a=b.pth', 'b.pth', 'broken', 'silent', 'own_0.pth', 'own_1.pth', 'own_2.pth'):
        (tmp_path / name).touch()
    train = tmp_path / 'train.py'
    train.write_text(
        dedent("""
            import json, pathlib, sys
            options = sys.argv[2:]
            student, work_dir = options[2], options[options.index('--work-dir') + 1]
            seed = int(options[options.index('--cfg-options') + 1].split('=')[1])
            if student == 'broken':
                sys.exit('CheckpointError: broken has no backbone')
            if student == 'silent':
                sys.exit()
            log = pathlib.Path(work_dir) / '20260101_000000/vis_data/scalars.json'
            log.parent.mkdir(parents=True, exist_ok=True)
            value = seed + (10 if student == 'none' else 20)
            lines = [dict(lr=0.1, loss=1.0, step=1), dict(mIoU=1.0, step=1), dict(mIoU=value, step=2)]
            lines = [dict(line, recall=9.0) if 'mIoU' in line else line for line in lines]
            log.write_text('\\n'.join(map(json.dumps, lines)))
            """)
    )
    monkeypatch.setattr(runs, 'COMMAND', [sys.executable, str(train)])
    monkeypatch.setattr(grid, 'start_from', lambda cfg, student: None)  # these students are empty files
    monkeypatch.setattr(grid, 'check_training', lambda cfg: None)  # there is no model Any
    return mmlgd.compare


CHECK_TRAINING, START_FROM = grid.check_training, grid.start_from
CYCLE = 'param_scheduler.0.type=OneCycleLR,param_scheduler.0.eta_max=0.1'


def test_mean_and_spread_over_seeds(compare, tmp_path):
    work_dir = tmp_path / 'runs'
    arguments = ['config.py', '--metric', 'mIoU', '--work-dir', str(work_dir), '--starts', 'random=none', 'lgd=a=b.pth']
    printed = CliRunner().invoke(main, ['compare', *arguments, '--seeds', '0', '2']).output
    assert '| random | 10 | 12 | 11 ± 1.4 |' in printed and '| lgd | 20 | 22 | 21 ± 1.4 |' in printed
    assert json.loads((work_dir / 'table.json').read_text())['lgd'] == {'0': 20, '2': 22}
    command = json.loads((work_dir / 'lgd_seed2/result.json').read_text())['command']
    assert command[4:6] == ['--student', 'a=b.pth'] and 'randomness.seed=2' in command

    alone = CliRunner().invoke(main, ['compare', *arguments, '--seeds', '0']).output
    assert '| start | mIoU, seed 0 |' in alone and '| random | 10 |\n' in alone and '±' not in alone

    # A second call repeats nothing (the stand-in would fail on its own log), and a seed can be added.
    printed = CliRunner().invoke(main, ['compare', *arguments, '--seeds', '0', '2', '4']).output
    assert '| random | 10 | 12 | 14 | 12 ± 2 |' in printed


def test_each_start_once_more_with_a_guide(compare, tmp_path):
    values = compare('c.py', metric='mIoU', seeds=[1], starts=['own=own_{seed}.pth'], guide='conse', work_dir=tmp_path)
    assert values == {'own': {1: 21}, 'own+guide': {1: 21}}
    command = json.loads((tmp_path / 'own+guide_seed1/result.json').read_text())['command']
    assert command[4:8] == ['--student', 'own_1.pth', '--guide', 'conse']
    (tmp_path / 'c.py').write_text("model = dict(type='mmlgd.Guided')")
    with pytest.raises(ConfigError, match='c.py has a guide already.*Give the config of the plain model'):
        compare('c.py', metric='mIoU', seeds=[0], starts=['own=b.pth'], guide='conse', work_dir=tmp_path / 'other')


def test_a_start_may_have_a_student_for_each_seed(compare, tmp_path):
    values = compare('c.py', metric='mIoU', seeds=[0, 2], starts=['own=own_{seed}.pth'], work_dir='runs')
    assert values == {'own': {0: 20, 2: 22}}
    commands = [json.loads((tmp_path / f'runs/own_seed{seed}/result.json').read_text())['command'] for seed in (0, 2)]
    assert [command[5] for command in commands] == ['own_0.pth', 'own_2.pth']


def test_each_start_is_trained_in_each_way(compare, tmp_path):
    ways = tmp_path / 'ways.txt'
    ways.write_text('--ways  # of training\nfrozen=backbone_rate=0\nfew=backbone_rate=0.1,model.sizes=[1,2]\n')
    arguments = [
        'c.py',
        '--metric',
        'mIoU',
        '--work-dir',
        'runs',
        '--seeds',
        '0',
        '2',
        f'@{ways}',
        '--starts',
        'a=none',
    ]
    printed = CliRunner().invoke(main, ['compare', *arguments, 'b=b.pth', '--cfg-options', 'data_root=d']).output
    assert '| a, frozen | 10 | 12 | 11 ± 1.4 |' in printed and '| b, few | 20 | 22 | 21 ± 1.4 |' in printed
    command = json.loads((tmp_path / 'runs/b_few_seed2/result.json').read_text())['command']
    assert command[-4:] == ['randomness.seed=2', 'data_root=d', 'backbone_rate=0.1', 'model.sizes=[1,2]']
    with pytest.raises(ConfigError, match='the config has no backbone_rat'):
        compare('c.py', metric='mIoU', starts=['a=none'], ways=['full=', 'typo=backbone_rat=1'], work_dir='others')
    assert not (tmp_path / 'others').exists()
    with pytest.raises(ConfigError, match='the seed of all runs'):
        compare('c.py', metric='mIoU', starts=['a=none'], ways=['full=', 'one=randomness.seed=3'], work_dir='others')
    with pytest.raises(ConfigError, match='ways takes NAME=VALUE.*frozen=backbone_rate=0'):
        compare('c.py', metric='mIoU', starts=['a=none'], ways=['backbone_rate=0'])


@pytest.mark.parametrize(
    'options, said',
    [
        (dict(guide='consee'), "no model 'consee'"),
        (dict(guide='conse+'), 'Expected looks as'),
        (dict(names='gone.txt'), "no file of names 'gone.txt'"),
        (dict(cfg_options={'model.guide.teacher.typo': 1}), 'has no setting typo'),
        (dict(ways=['a=', 'b=model.guide.teacher.typo=1']), 'has no setting typo'),
        (dict(cfg_options={'model.guide.wegiht': 1}), 'model.guide has no setting wegiht. Did you mean weight'),
        (dict(ways=['a=', 'b=model.guide.share=half']), 'model.guide takes .* as share, got .half'),
    ],
)
def test_a_guide_that_cannot_be_is_refused_before_the_first_training(compare, tmp_path, options, said):
    (tmp_path / 'c.py').write_text(f"model = dict(type='ImageClassifier')\ndefault_scope = 'mmpretrain'{EVALUATOR}")
    with pytest.raises(MMLGDError, match=said):
        compare('c.py', metric='mIoU', starts=['a=none'], work_dir='runs', **{'guide': 'conse', **options})
    assert not (tmp_path / 'runs').exists()


@pytest.mark.parametrize(
    'options, said',
    [
        (dict(ways=['a=', 'b=model.backbone.depth=19']), "'a, b' cannot begin.*invalid depth 19"),
        (dict(ways=['a=', 'b=optim_wrapper.optimizer.typo=1']), 'typo'),
        (dict(ways=['a=', f'b=backbone_rate=0.1,{CYCLE}']), "'a, b' cannot .*lr_mult is 0.1, but OneCycleLR"),
        (dict(ways=['a=', 'b=param_scheduler.0.end=4']), 'begins at 5 and ends at 4'),
        (dict(ways=['a=', 'b=val_evaluator=None']), 'has no val_evaluator'),
        (dict(guide='conse+timm:nonesuch'), 'nonesuch'),
        (dict(guide='conse', ways=['a=', 'b=backbone_rate=0']), "'a.guide, b' cannot .* backbone needs no gradient"),
    ],
)
def test_what_cannot_be_built_is_refused_before_the_first_training(compare, tmp_path, monkeypatch, options, said):
    """Each kind of run is built once; the student of each start replaces weights alone."""
    monkeypatch.setattr(grid, 'check_training', CHECK_TRAINING)
    model = dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=2, in_channels=64),
    )
    (tmp_path / 'c.py').write_text(
        f"""
default_scope = 'mmpretrain'
model = {model}
backbone_rate = 1.0
groups = dict(custom_keys=dict(backbone=dict(lr_mult=None)))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3), paramwise_cfg=groups)
default_hooks = dict(frozen=dict(type='mmlgd.FrozenBackboneHook'))
param_scheduler = [dict(type='CosineAnnealingLR', begin=5, end=9)]
{EVALUATOR}"""
    )
    settings = dict(metric='mIoU', starts=['a=none', 'own=b.pth'], seeds=[0], work_dir='runs')
    with pytest.raises(MMLGDError, match=said):
        compare('c.py', **{**settings, **options})
    assert not [*tmp_path.glob('runs/*/started.json')]
    assert compare('c.py', **settings) == {'a': {0: 10}, 'own': {0: 20}}


@pytest.mark.parametrize('student', ['none', 'b.pth'])
def test_weights_that_would_replace_a_start_are_refused_before_the_first_training(
    compare, tmp_path, monkeypatch, student
):
    """A way may name them, though the backbone is the same as in the others."""
    monkeypatch.setattr(grid, 'start_from', lambda cfg, student: START_FROM(cfg, 'none'))
    (tmp_path / 'c.py').write_text(f"model = dict(backbone=dict(type='ResNet')){EVALUATOR}")
    with pytest.raises(ConfigError, match='the config has load_from=own_0.pth, whose weights would replace it'):
        compare('c.py', metric='mIoU', seeds=[0], starts=[f'a={student}'], ways=['a=', 'b=load_from=own_0.pth'])
    assert not [*tmp_path.glob('work_dirs/*/*/started.json')]


def test_a_way_of_the_guide_is_that_of_guided_runs_alone(compare, tmp_path):
    ways = ['less=model.guide.share=0.1']
    compare('c.py', metric='mIoU', starts=['a=none'], seeds=[0], guide='conse', ways=ways, work_dir='runs')
    options = [json.loads(file.read_text())['arguments'][-1] for file in sorted(tmp_path.glob('runs/*/result.json'))]
    assert options == ['model.guide.share=0.1', 'randomness.seed=0']


def test_labels_that_a_way_names_may_not_change(compare, tmp_path):
    loader = dict(dataset=dict(ann_file='all.json'))
    (tmp_path / 'c.py').write_text(f'model = dict()\ntrain_dataloader = {loader}{EVALUATOR}')
    for name in ('all.json', 'few.json'):
        (tmp_path / name).touch()
    ways = ['all=', 'few=train_dataloader.dataset.ann_file=few.json']
    settings = dict(metric='mIoU', work_dir='runs', seeds=[0], starts=['a=none'])
    compare('c.py', **settings, ways=ways)
    (tmp_path / 'few.json').write_text('others')
    compare('c.py', **settings, ways=ways[:1])
    with pytest.raises(ConfigError, match='a_few_seed0 holds a run with other contents of few.json'):
        compare('c.py', **settings, ways=ways)


def test_a_failing_run_is_named_with_its_last_words(compare, tmp_path):
    with pytest.raises(RuntimeError, match='output.txt and ends with\nCheckpointError: broken has no backbone'):
        compare('c.py', metric='mIoU', work_dir=tmp_path / 'runs', starts=['bad=broken'])


def test_wrong_arguments(compare, tmp_path):
    with pytest.raises(ConfigError, match="no 'AP'; it has mIoU"):
        compare('c.py', metric='AP', work_dir=tmp_path / 'runs', starts=dict(random='none'))
    with pytest.raises(MissingFileError, match='no config'):
        compare('nope.py', metric='AP', starts=dict(random='none'))
    with pytest.raises(MissingFileError, match='no checkpoint at .*gone.pth.* the start b, seed 0'):
        compare('c.py', metric='mIoU', work_dir=tmp_path / 'none', starts=['a=none', 'b=gone.pth'])
    assert not (tmp_path / 'none').exists()
    with pytest.raises(ConfigError, match='--seeds has 1 twice'):
        compare('c.py', metric='mIoU', seeds=[1, 1], starts=['a=none'])
    with pytest.raises(ConfigError, match="'a_b, c' .*one folder, .*a_b_c_seed0. Rename a start or a way"):
        compare('c.py', metric='mIoU', seeds=[0], starts=['a=none', 'a_b=none'], ways=['b_c=', 'c='])
    twice = ['a=none', 'a=b.pth'], "the name 'a' twice"
    for starts, said in ((['none'], 'NAME=VALUE'), ('none', "NAME=VALUE, got 'none'"), ([], 'empty'), twice):
        with pytest.raises(ConfigError, match=said):
            compare('c.py', metric='AP', starts=starts)


def test_a_work_dir_that_cannot_be_written_to_is_said_before_the_first_run(compare, tmp_path):
    (tmp_path / 'file').touch()
    for place in ('file', 'file/runs'):
        with pytest.raises(WriteError, match='Cannot write .*Give a folder that can be written to'):
            compare('c.py', metric='mIoU', work_dir=place, starts=['a=none'])


def test_a_second_command_starts_no_runs_but_reads_finished_ones(compare, monkeypatch):
    def locked(folder):
        raise LockedError(folder)

    values = compare('c.py', metric='mIoU', work_dir='runs', seeds=[0], starts=['a=none'])
    monkeypatch.setattr(grid, 'sole_writer', locked)
    assert compare('c.py', metric='mIoU', work_dir='runs', seeds=[0], starts=['a=none']) == values
    with pytest.raises(LockedError):
        compare('c.py', metric='mIoU', work_dir='runs', seeds=[0], starts=['a=none', 'b=b.pth'])


def test_a_foreign_line_in_a_log_is_no_evaluation(compare, tmp_path):
    log = tmp_path / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text('{"mIoU": 11, "step": 2}\nnull\n{"note": "mine"}\n{"step": 3, "note": "mine"}\n{"mIoU": 1')
    assert last_evaluation(log)['mIoU'] == 11
    log.write_text('{"mIoU": 11, "step": 2, "time": 1}\n{"mIoU": 12, "step": 4, "time": 1}')
    assert last_evaluation(log) == dict(mIoU=12)


@pytest.fixture
def arguments(tmp_path):
    (tmp_path / 'a.pth').write_bytes(b'a student')
    return dict(config='config.py', metric='mIoU', work_dir=tmp_path / 'runs', starts=dict(lgd='a.pth'), seeds=[0])


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda folder, given: given.update(starts=dict(lgd='b.pth')), 'student a.pth .*requested was'),
        (lambda folder, given: given.update(config='c.py'), 'train config.py .*requested was `mmlgd train c.py'),
        (lambda folder, given: given.update(cfg_options={'model.depth': 1}), r'seed=0 model.depth=1`'),
        (lambda folder, given: (folder / 'a.pth').write_bytes(b'another'), 'other contents of a.pth'),
        (
            lambda folder, given: (folder / 'config.py').write_text(f'model = dict(a=1){EVALUATOR}'),
            'other contents of config.py',
        ),
        (lambda folder, given: (folder / 'runs/lgd_seed0/result.json').write_text('{"mIoU": 1}'), 'not recorded'),
    ],
    ids=['checkpoint', 'config', 'options', 'weights', 'settings', 'record'],
)
def test_another_run_under_the_same_name_is_refused(compare, arguments, tmp_path, change, message):
    compare(**arguments)
    change(tmp_path, arguments)
    with pytest.raises(ConfigError, match=message):
        compare(**arguments)


def test_a_metric_that_is_not_there_keeps_the_run(compare, arguments, tmp_path):
    arguments['metric'] = 'acc'
    with pytest.raises(ConfigError, match="no 'acc'; it has mIoU, recall"):
        compare(**arguments)
    assert (tmp_path / 'runs/lgd_seed0/result.json').is_file()
    arguments['metric'] = 'mIoU'
    (tmp_path / 'train.py').write_text('import sys; sys.exit("trained once more")')
    compare(**arguments)


def test_a_record_of_an_earlier_version_says_too_little(compare, arguments, tmp_path):
    compare(**arguments)
    result = tmp_path / 'runs/lgd_seed0/result.json'
    told = json.loads(result.read_text())
    told.pop('contents')
    result.write_text(json.dumps(told))
    with pytest.raises(ConfigError, match='did not record'):
        compare(**arguments)


def test_another_metric_of_a_run_needs_no_other_run(compare, arguments):
    compare(**arguments)
    arguments['metric'] = 'recall'
    assert compare(**arguments) == dict(lgd={0: 9.0})


def test_the_log_of_a_run_that_was_stopped_gives_no_figure(compare, arguments, tmp_path):
    for name in ('lgd', 'silent'):
        log = tmp_path / f'runs/{name}_seed0/20990101_000000/vis_data/scalars.json'
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(json.dumps(dict(mIoU=99.0, step=1)))
    compare(**arguments)
    assert json.loads((tmp_path / 'runs/table.json').read_text()) == dict(lgd={'0': 20})
    arguments['starts'] = dict(silent='silent')
    with pytest.raises(RuntimeError, match='ended without an evaluation'):
        compare(**arguments)


@pytest.mark.parametrize('seed', [-1, 2**32, 1.5])
def test_an_invalid_seed_is_refused_before_the_first_run(compare, arguments, seed):
    with pytest.raises(ConfigError, match='expected a seed from 0 to 4294967295'):
        compare(**{**arguments, 'seeds': [seed]})


def test_a_run_that_was_stopped_is_resumed(compare, tmp_path, monkeypatch):
    settings = dict(metric='mIoU', starts=['random=none'], seeds=[0], work_dir=tmp_path / 'runs')
    monkeypatch.setattr(runs, 'COMMAND', [sys.executable, '-c', 'raise SystemExit("cut off")'])
    with pytest.raises(RunError, match='cut off'):
        compare('config.py', **settings)
    folder = tmp_path / 'runs/random_seed0'
    (folder / 'epoch_1.pth').touch()
    started = json.loads((folder / 'started.json').read_text())
    del started['labels']  # of an earlier version
    (folder / 'started.json').write_text(json.dumps(started))
    monkeypatch.setattr(runs, 'COMMAND', [sys.executable, str(tmp_path / 'train.py')])
    assert compare('config.py', **settings) == dict(random={0: 10})
    assert json.loads((folder / 'result.json').read_text())['command'][-1] == '--resume'


def test_a_work_dir_that_was_moved_keeps_its_runs(compare, arguments, tmp_path):
    values = compare(**arguments)
    (tmp_path / 'train.py').write_text('import sys; sys.exit("trained once more")')
    (tmp_path / 'runs').rename(tmp_path / 'moved')
    assert compare(**{**arguments, 'work_dir': 'moved'}) == values


def test_the_figure_of_a_finished_run_does_not_need_its_log(compare, arguments, tmp_path):
    values = compare(**arguments)
    record, log = (next((tmp_path / 'runs').glob(f'*/{name}')) for name in ('result.json', '*/vis_data/scalars.json'))
    lines = log.read_text().splitlines(keepends=True)
    log.write_text(''.join(lines[:2]))  # cut off after an earlier evaluation
    assert compare(**arguments) == values
    told = json.loads(record.read_text())
    del told['evaluation']  # of an earlier version, which reads the log
    record.write_text(json.dumps(told))
    log.write_text(''.join(lines))
    assert compare(**arguments) == values
    log.unlink()
    with pytest.raises(MissingFileError, match=r'there is no .*scalars.json. Put it back; or remove .*result.json'):
        compare(**arguments)


@pytest.mark.parametrize(
    'content',
    [
        *('', '{"arguments": ["a"', 'null', '[' * 10**5, '{}', '{"arguments": 5}', '{"contents": []}'),
        *('{"arguments": [5]}', '{"evaluation": 5}', '{"log": 5}'),
    ],
)
@pytest.mark.parametrize('name, advice', [('result', 'goes on from its last'), ('started', 'remove .*lgd_seed0.$')])
def test_a_record_that_is_damaged_is_named(compare, arguments, tmp_path, name, advice, content):
    folder = tmp_path / 'runs/lgd_seed0'
    folder.mkdir(parents=True)
    (folder / 'epoch_1.pth').touch()
    (folder / f'{name}.json').write_text(content)
    with pytest.raises(ConfigError, match=f'{name}.json is damaged.*Put a copy of it back, or .*{advice}'):
        compare(**arguments)


def test_what_another_command_has_just_finished_is_not_trained_again(compare, arguments, tmp_path, monkeypatch):
    real = grid.sole_writer

    def late(folder):  # the other command ends before this one has the lock
        monkeypatch.setattr(grid, 'sole_writer', real)
        compare(**arguments)
        (tmp_path / 'train.py').write_text('import sys; sys.exit("trained once more")')
        return real(folder)

    monkeypatch.setattr(grid, 'sole_writer', late)
    assert compare(**arguments) == dict(lgd={0: 20})


def test_a_run_that_outlives_its_command_keeps_its_record(compare, arguments, tmp_path):
    folder = tmp_path / 'runs/lgd_seed0'
    folder.mkdir(parents=True)
    (folder / 'started.json').write_text('of the other start')
    held = (
        'import fcntl, sys; file = open(sys.argv[1], "w"); fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); input()'
    )
    with subprocess.Popen([sys.executable, '-c', held, folder / '.lock'], stdin=-1, stdout=-1, text=True) as other:
        other.stdout.readline()
        with pytest.raises(LockedError, match='lgd_seed0'):
            compare(**arguments)
        other.communicate('\n')
    assert (folder / 'started.json').read_text() == 'of the other start'


def test_other_weights_of_the_guide_are_another_run(compare, arguments, tmp_path):
    weights = tmp_path / 'clip.pt'
    weights.write_bytes(b'a teacher')
    arguments.update(guide='RN50:openai:clip.pt')
    compare(**arguments)
    weights.write_bytes(b'another')
    with pytest.raises(ConfigError, match='lgd.guide_seed0 holds a run with other contents of .*clip.pt'):
        compare(**arguments)
    compare(**{**arguments, 'guide': None})  # the plain runs had no guide


NECK = "model = dict(neck=dict(init_cfg=dict(checkpoint='neck.pth')))"
CHOSEN = f"model = dict()\narch = 'a'\narchs = dict(a=dict({NECK}))"  # by a variable


@pytest.mark.parametrize('config', [NECK, CHOSEN], ids=['named', 'chosen'])
def test_weights_that_the_config_names_may_not_change(compare, tmp_path, config):
    (tmp_path / 'c.py').write_text(config + EVALUATOR)
    settings = dict(metric='mIoU', work_dir='runs', seeds=[0], starts=['a=none'])
    (tmp_path / 'neck.pth').write_text('one')
    compare('c.py', **settings)
    (tmp_path / 'neck.pth').write_text('other')
    with pytest.raises(ConfigError, match='a_seed0 holds a run with other contents of neck.pth'):
        compare('c.py', **settings)


def test_weights_of_the_guide_are_known_where_an_earlier_version_recorded_them(compare, arguments, tmp_path):
    (tmp_path / 'clip.pt').write_bytes(b'a teacher')
    arguments.update(guide='RN50:openai:clip.pt')
    compare(**arguments)
    record = tmp_path / 'runs/lgd+guide_seed0/result.json'
    told = json.loads(record.read_text())
    told['contents']['clip.pt'] = told['labels'].pop(str(tmp_path / 'clip.pt'))
    record.write_text(json.dumps(told))
    compare(**arguments)
    (tmp_path / 'clip.pt').write_bytes(b'another')
    with pytest.raises(ConfigError, match='lgd.guide_seed0 holds a run with other contents of .*clip.pt'):
        compare(**arguments)


def test_the_start_in_the_config_does_not_count(compare, tmp_path, monkeypatch):
    """Each run replaces it: its file may change, and what it would download is not missed."""
    monkeypatch.setattr(grid, 'check_training', CHECK_TRAINING)
    backbone = dict(type='TIMMBackbone', model_name='resnet18', pretrained=True)  # builds with a download
    (tmp_path / 'c.py').write_text(
        f"""
default_scope = 'mmpretrain'
model = dict(type='ImageClassifier', backbone={backbone}, head=dict(type='LinearClsHead', num_classes=2, in_channels=8))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
{EVALUATOR}"""
    )
    monkeypatch.setattr('timm.models._builder.load_pretrained', lambda *given, **settings: pytest.fail('downloaded'))
    settings = dict(metric='mIoU', work_dir='runs', seeds=[0], starts=['a=none'])
    compare('c.py', **settings)
    options = {'model.backbone.init_cfg.checkpoint': 'b.pth'}
    settings['work_dir'] = 'others'
    compare('c.py', **settings, cfg_options=options)
    (tmp_path / 'b.pth').write_text('trained anew')
    compare('c.py', **settings, cfg_options=options)


def test_other_names_of_the_guide_are_another_run(compare, arguments, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'names.txt').write_text('sky\nroad\n')
    arguments.update(guide='conse', names=['sky', 300 * 'a'])  # a long name is no file
    compare(**dict(arguments, work_dir=tmp_path / 'long'))
    arguments.update(names='~/names.txt')
    compare(**arguments)
    (tmp_path / 'names.txt').write_text('sky\nstreet\n')
    with pytest.raises(ConfigError, match='lgd.guide_seed0 holds a run with other contents of .*names.txt'):
        compare(**arguments)


def test_a_run_that_went_on_has_the_figure_of_its_own_log(compare, arguments, tmp_path):
    log = tmp_path / 'runs/lgd_seed0/20990101_000000/vis_data/scalars.json'  # the clock was put back since
    compare(**arguments)
    (tmp_path / 'runs/lgd_seed0/result.json').unlink()
    (tmp_path / 'runs/lgd_seed0/epoch_1.pth').touch()
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps(dict(mIoU=1.0, step=1)))
    (tmp_path / 'runs/lgd_seed0/20260101_000000/vis_data/scalars.json').unlink()
    assert compare(**arguments) == dict(lgd={0: 20})
