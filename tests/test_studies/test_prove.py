"""A proof: equal terms for all starts, each run once, and a page with the verdict first."""

import json
import shutil
import sys
from textwrap import dedent

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import mmlgd
from mmlgd.checkpoints import CheckpointError
from mmlgd.cli.__main__ import main
from mmlgd.demo import write_demo_world
from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.registry import MODELS
from mmlgd.studies import grid, processes, proof, runs
from tests import ROOT

CONFIG = """
    model = dict(type='Any')
    train_dataloader = dict(sampler=dict(type='DefaultSampler', shuffle=True))
    train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)
    val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
"""
# 20 mIoU with a tenth of the labels and 40 with all, and 6 more from a student.
TRAIN = """
    import json, pathlib, sys
    verb, config, _, student, *guide, _, work_dir, _ = sys.argv[1 : sys.argv.index('--cfg-options') + 1]
    options = sys.argv[sys.argv.index('--cfg-options') + 1 :]
    options = dict(option.split('=', 1) for option in options if option != '--resume')
    seed = int(options['randomness.seed'])
    few = options.get('train_dataloader.sampler.percent') == '10.0'
    assert (options.get('train_dataloader.sampler.by_epoch') == 'True') == few
    with open(pathlib.Path(work_dir) / 'calls.txt', 'a') as calls:
        calls.write(' '.join(sys.argv[1:]) + '\\n')
    log = pathlib.Path(work_dir) / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    value = (20 if few else 40) + seed + (0 if student == 'none' else 6 + seed / 5) + bool(guide)
    lines = [dict(lr=0.1, loss=1.0, step=1), dict(mIoU=value, aAcc=90.0, step=2)]
    log.write_text('\\n'.join(map(json.dumps, lines)))
"""


@pytest.fixture
def prove(tmp_path, monkeypatch):
    """The function with a stand-in for `mmlgd train`, in a folder with a config and a student."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(processes, '_PAUSE', 0.01)
    monkeypatch.setattr(proof, 'draw', lambda *given: None)  # it takes longer than the runs
    monkeypatch.setattr(grid, 'start_from', lambda cfg, student: None)  # this student is empty
    monkeypatch.setattr(grid, 'check_training', lambda cfg: None)  # there is no model Any
    (tmp_path / 'config.py').write_text(dedent(CONFIG))
    (tmp_path / 'train.py').write_text(dedent(TRAIN))
    torch.save(dict(state_dict={}), tmp_path / 'lgd.pth')
    monkeypatch.setattr(runs, 'COMMAND', [sys.executable, str(tmp_path / 'train.py')])
    return lambda **given: mmlgd.prove(**{**ARGUMENTS, **given})


DRAW, START_FROM = proof.draw, grid.start_from
ARGUMENTS = dict(config='config.py', starts=['random=none', 'lgd=lgd.pth'], seeds=[0, 1, 2], work_dir='proof')


def calls(folder):
    return sorted(line for file in folder.glob('proof/*/calls.txt') for line in file.read_text().splitlines())


def test_a_student_that_does_not_fit_is_told_before_the_first_run(prove, tmp_path, monkeypatch):
    """The runs of the other starts would take hours before its own begin."""
    monkeypatch.setattr(grid, 'start_from', START_FROM)
    backbone = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)
    text = dedent(CONFIG).replace("type='Any'", f"type='Any', backbone={backbone}")
    (tmp_path / 'config.py').write_text(text)
    torch.save(MODELS.build(dict(backbone, stem_channels=4)).state_dict(), tmp_path / 'lgd.pth')
    with pytest.raises(CheckpointError, match='lgd.pth does not fit ResNet'):
        prove()
    assert not calls(tmp_path) and not [*tmp_path.glob('proof/*/started.json')]
    torch.save(MODELS.build(backbone).state_dict(), tmp_path / 'lgd.pth')
    assert prove(seeds=[0])['verdict'] and len(calls(tmp_path)) == 4


def test_a_page_with_the_verdict_first(prove, tmp_path, monkeypatch):
    monkeypatch.setattr(proof, 'draw', DRAW)
    command = ['prove', '--config', 'config.py', '--starts', 'random=none', 'lgd=lgd.pth', '--fractions', '10%', '100%']
    result = CliRunner().invoke(main, [*command, '--seeds', '0', '1', '2', '--work-dir', 'proof', '--jobs', '4'])
    assert result.exit_code == 0, result.output
    page = (tmp_path / 'proof/table.md').read_text()
    gain = '- lgd is +6.2 ± 0.2 mIoU over random with'
    assert page.startswith(f'# Did it help?\n\n{gain} 100 % of the labels, on 3 of 3 seeds (95 % interval +6.0 to')
    assert f'; 10 % of the labels with lgd equal 20 % from random.\n{gain} 10 % of the labels, on 3' in page
    assert '| 10 % | random | 20.0 | 21.0 | 22.0 | 21.0 ± 1.0 | – | – | ' in page
    assert '| 100 % | lgd | 46.0 | 47.2 | 48.4 | 47.2 ± 1.2 | +6.2 ± 0.2 | ' in page
    assert 'was not checked' in page and 'Up to 4 runs shared the machine' in page
    assert page.split('![')[0].strip() in result.output
    assert min(Image.open(tmp_path / 'proof/learning_curve.png').size) > 300
    assert len(calls(tmp_path)) == 12


def test_what_is_done_stays_and_more_can_be_added(prove, tmp_path):
    first = prove(seeds=[0], fractions='100%')
    assert len(calls(tmp_path)) == 2 and first['worth'] == dict(lgd={})
    told = prove(seeds=[0, 1], starts=[*ARGUMENTS['starts'], 'imagenet=torchvision://resnet18'])
    assert len(calls(tmp_path)) == 12 and len(set(calls(tmp_path))) == 12
    assert list(told['figures']) == ['random', 'lgd', 'imagenet'] and list(told['gains']) == ['lgd', 'imagenet']
    read = json.loads((tmp_path / 'proof/table.json').read_text())
    assert read == json.loads(json.dumps(told))  # all that the figure needs
    assert read['figures']['lgd']['10.0'] == {'0': 26.0, '1': 27.2} and read['seconds']['lgd']['10.0']['0'] >= 0
    assert read['worth']['lgd']['10.0']['share'] == pytest.approx(10 ** (1 + 6.1 / 20))


def test_all_starts_and_shares_run_on_equal_terms(prove, tmp_path):
    told = prove(seeds=[1], cfg_options={'randomness.deterministic': True})
    assert told['options'] == ['randomness.deterministic=True']
    few = 'train_dataloader.sampler.type=mmlgd.LabelSampler train_dataloader.sampler.percent=10.0'
    told = [line.split(' --cfg-options ')[1] for line in calls(tmp_path)]
    assert sorted(set(told)) == [
        'randomness.seed=1 randomness.deterministic=True',
        f'randomness.seed=1 randomness.deterministic=True {few} train_dataloader.sampler.by_epoch=True',
    ]
    assert [told.count(one) for one in set(told)] == [2, 2]


def test_each_start_once_more_with_a_guide(prove, tmp_path):
    told = prove(seeds=[0, 2], fractions=['100%'], guide='conse', names=['sky', 'road'])
    assert list(told['figures']) == ['random', 'random+guide', 'lgd', 'lgd+guide']
    assert [(line.split(' is ')[0], line.split(' mIoU over ')[1].split()[0]) for line in told['verdict'][:3]] == [
        ('random+guide', 'random'),
        ('lgd', 'random'),
        ('lgd+guide', 'lgd'),
    ]
    assert told['gains']['lgd+guide'][100.0]['mean'] == 1 and told['gains']['lgd'][100.0]['mean'] == pytest.approx(6.2)
    words = ' --guide conse --names sky road --work-dir proof/lgd+guide_100percent_seed2 '
    assert sum(words in line for line in calls(tmp_path)) == 1
    assert sum(' --guide conse ' in line for line in calls(tmp_path)) == 4 and len(calls(tmp_path)) == 8
    page = (tmp_path / 'proof/table.md').read_text()
    assert '| gain | 95 %' in page and '+1.0 ± 0.0 over lgd |' in page


def test_one_start_is_enough_with_a_guide(prove, tmp_path):
    options = {'model.guide.share': 0.5, 'train_cfg.max_epochs': 1}
    told = prove(starts=['random=none'], seeds=[0, 1], fractions=['100%'], guide='conse', cfg_options=options)
    for line in calls(tmp_path):  # a plain model has no model.guide
        assert ('model.guide.share=0.5' in line) == ('--guide' in line) and 'train_cfg.max_epochs=1' in line
    assert told['verdict'][0].startswith('random+guide is +1.0 ± 0.0 mIoU over random on 2 of 2 seeds')
    assert '| over random |' in (tmp_path / 'proof/table.md').read_text()


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda folder: torch.save(dict(state_dict=dict(a=1)), folder / 'lgd.pth'), 'other contents of lgd.pth'),
        (lambda folder: (folder / 'config.py').open('a').write('a = 1\n'), 'other contents of config.py'),
        (lambda folder: dict(cfg_options={'randomness.deterministic': True}), 'deterministic=True'),
        (lambda folder: dict(starts=['random=none', 'lgd=none']), 'requested was'),
    ],
    ids=['start', 'config', 'options', 'source'],
)
def test_a_figure_of_something_else_is_not_reused(prove, tmp_path, change, words):
    prove(seeds=[0, 2])
    changed = change(tmp_path)
    with pytest.raises(ConfigError, match=words):
        prove(seeds=[1, 0], **(changed if isinstance(changed, dict) else {}))
    assert len(calls(tmp_path)) == 8  # not one of seed 1: it is said before the first run


def test_an_unfinished_run_of_something_else_is_not_gone_on_with(prove, tmp_path):
    folder = tmp_path / 'proof/lgd_100percent_seed0'
    prove(seeds=[0], fractions='100%')
    (folder / 'result.json').unlink()
    (folder / 'epoch_1.pth').touch()
    torch.save(dict(state_dict=dict(a=1)), tmp_path / 'lgd.pth')
    with pytest.raises(ConfigError, match='other contents of lgd.pth.*or remove the folder'):
        prove(seeds=[0], fractions='100%')
    (folder / 'started.json').unlink()
    with pytest.raises(ConfigError, match='not recorded'):
        prove(seeds=[0], fractions='100%')
    assert len(calls(tmp_path)) == 2


def test_a_start_that_changes_while_runs_wait_gives_no_figure(prove, tmp_path):
    train = tmp_path / 'train.py'
    train.write_text(train.read_text() + "student == 'none' or pathlib.Path(student).write_bytes(b'another')\n")
    with pytest.raises(ConfigError, match='start of lgd, 100percent, seed 0 has changed.*Remove proof/lgd_100percent'):
        prove(seeds=[0], fractions='100%')
    assert not (tmp_path / 'proof/lgd_100percent_seed0/result.json').exists()


def test_the_time_of_a_run_that_went_on_is_not_known(prove, tmp_path):
    assert prove(seeds=[0], fractions='100%')['seconds']['lgd'][100.0][0] is not None
    folder = tmp_path / 'proof/lgd_100percent_seed0'
    (folder / 'result.json').unlink()
    shutil.rmtree(folder / '20260101_000000')  # the stand-in makes it
    (folder / 'epoch_1.pth').touch()
    assert prove(seeds=[0], fractions='100%')['seconds']['lgd'][100.0][0] is None
    assert sum(line.endswith('--resume') for line in calls(tmp_path)) == 1
    (folder / 'result.json').unlink()
    (folder / 'epoch_1.pth').unlink()  # stopped before its first checkpoint, it begins anew
    shutil.rmtree(folder / '20260101_000000')
    assert prove(seeds=[0], fractions='100%')['seconds']['lgd'][100.0][0] is not None


def test_figures_on_other_labels_are_not_compared(prove, tmp_path):
    dataset = dict(data_root='data', ann_file='a.txt', data_prefix=dict(seg_map_path='masks'))
    (tmp_path / 'config.py').open('a').write(f'names = "names.txt"\nval_dataloader = dict(dataset={dataset})\n')
    (tmp_path / 'data/masks').mkdir(parents=True)
    for name in ('a.txt', 'names.txt', 'masks/a.png'):
        (tmp_path / 'data' / name).write_text('first')
    prove(seeds=[0])
    for name, told in (('a.txt', 'a.txt'), ('names.txt', 'names.txt'), ('masks/a.png', r'masks/\*')):
        (tmp_path / 'data' / name).write_text('other')  # no other size
        with pytest.raises(ConfigError, match=f'other contents of data/{told} '):
            prove(seeds=[0, 1])
        (tmp_path / 'data' / name).write_text('first')
    for record in (tmp_path / 'proof').glob('*/result.json'):  # of an earlier version
        told = json.loads(record.read_text())
        told['labels'] = {'data/masks': 'of their names and sizes'}
        record.write_text(json.dumps(told))
    assert prove(seeds=[0]) and len(calls(tmp_path)) == 4


def test_labels_that_cannot_be_used_are_said_before_the_first_run(prove, tmp_path):
    pytest.importorskip('mmdet')
    dataset = dict(type='mmdet.CocoDataset', ann_file='gone.json', data_prefix=dict(img=''))
    (tmp_path / 'config.py').open('a').write(f'train_dataloader["dataset"] = {dataset}\n')
    with pytest.raises(MissingFileError, match='train_dataloader expects an annotation file at gone.json'):
        prove(seeds=[0])
    assert not calls(tmp_path)


def test_the_metric_is_asked_for_with_the_list(prove, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(config.read_text().replace('IoUMetric', 'OwnMetric'))
    with pytest.raises(ConfigError, match=r'No metric was given, and .* has aAcc, mIoU\. Give one.*the run is kept'):
        prove(seeds=[0])
    assert prove(seeds=[0], metric='aAcc')['unit'] == 'aAcc' and len(calls(tmp_path)) == 4


@pytest.mark.parametrize(
    'given, words',
    [
        (dict(starts=['lgd=lgd.pth']), '--starts has lgd alone.*random=none'),
        (dict(starts=['zero=none']), '--starts has zero alone.*lgd=CHECKPOINT'),
        (dict(names=['sky']), '--names are the names of a guide'),
        (dict(starts=['a=none', 'a+guide=none'], guide='conse'), 'names with .guide are those of --guide'),
        (dict(fractions=['5']), '--fractions takes shares'),
        (dict(seeds=[1, 1]), '--seeds has 1 twice'),
        (dict(seeds=[]), '--seeds is empty'),
        (dict(starts=['random=none', 'lgd=' + 300 * 'a']), 'no checkpoint at .*the start lgd'),
        (dict(config='no.py', starts=['a=none', 'lgd={seed}.pth']), 'no checkpoint at .*0.pth.* the start lgd, seed 0'),
        (dict(starts=['random=none', 'lgd=.']), 'is a folder, .* the start lgd'),
        (dict(jobs=0), 'expected runs at once'),
        (dict(cfg_options={'randomness.seed': 3}), 'Give --seeds instead'),
        (dict(cfg_options={'train_dataloader.sampler.type': 'Own'}), 'by Own, of which no share'),
    ],
)
def test_wrong_arguments_are_refused_before_the_first_run(prove, tmp_path, given, words):
    with pytest.raises((ConfigError, MissingFileError), match=words):
        prove(**given)
    assert not calls(tmp_path)


@pytest.fixture
def detector(tmp_path):
    """A stock detector, over epochs, for rendered scenes; and a student of another seed."""
    pytest.importorskip('mmdet')
    write_demo_world(tmp_path / 'demo', num_objects=(10, 10), num_scenes=(10, 10), scene_size=64)
    torch.manual_seed(0)
    weights = MODELS.build(dict(type='mmpretrain.MobileNetV2')).state_dict()
    images = dict(type='mmlgd.Images', data_root=f'{tmp_path}/demo/scenes')
    cfg = f'model = dict()\ntrain_dataloader = dict(dataset={images})'
    state = {f'backbone.{key}': value for key, value in weights.items()}
    torch.save(dict(state_dict=state, meta=dict(cfg=cfg)), tmp_path / 'student.pth')
    return ROOT / 'configs/benchmarks/mmdet/faster-rcnn_mobilenetv2_fpn_1xb8-60e_coco-format.py'


@pytest.mark.exhaustive  # four trainings
def test_a_stock_detector_over_epochs(detector, tmp_path):
    options = {'data_root': str(tmp_path / 'demo/scenes'), 'names': str(tmp_path / 'demo/names.txt')}
    options.update({'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1, 'default_hooks.logger.interval': 1})
    for part, scale in (('train', 2), ('val', 1)):
        options[f'{part}_dataloader.dataset.ann_file'] = f'{part}.json'
        options[f'{part}_dataloader.dataset.pipeline.{scale}.scale'] = (64, 64)
        options[f'{part}_dataloader.num_workers'] = 0
        options[f'{part}_dataloader.persistent_workers'] = False
    options['train_dataloader.batch_size'] = 4
    told = mmlgd.prove(
        config=str(detector),
        starts=['random=none', f'own={tmp_path}/student.pth'],
        fractions=['20%', '100%'],
        seeds=[0],
        work_dir=tmp_path / 'proof',
        cfg_options=options,
        jobs=2,
    )
    assert told['metric'] == 'coco/bbox_mAP' and told['unit'] == 'AP'
    assert told['verdict'][0].startswith('own is ') and 'on one seed' in told['verdict'][0]
    assert 'WARNING: 10 of the 10 evaluation images are among' in told['notes'][0]
    logs = list((tmp_path / 'proof').glob('*/*/vis_data/scalars.json'))
    steps = [max(json.loads(line)['iter'] for line in log.read_text().splitlines() if '"iter"' in line) for log in logs]
    assert steps == [3] * 4  # of 4 images each, also with two of the ten
