"""A study does each run once, goes on where it was stopped, and reports mean and spread of what evaluate.py finds."""

import json
import sys
from textwrap import dedent

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
from PIL import Image

import mmlgd
from mmlgd.cli.__main__ import main
from mmlgd.datasets.variables import fill_in
from mmlgd.demo import DEMO_CLASSES, write_demo_world
from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.registry import MODELS
from mmlgd.run import digests, trial
from mmlgd.store import StoreError, writer
from mmlgd.studies import report, runs
from mmlgd.studies.report import table
from mmlgd.studies.study import options_of, read_variants
from mmlgd.utils.files import digest_of
from mmlgd.utils.options import read_options, write_options
from tests import ROOT

COMMAND = """
    import pathlib, runpy, sys
    verb = sys.argv.pop(1)
    runpy.run_path(str(pathlib.Path(__file__).parent / f'{verb}.py'))
"""
TRAIN = """
    import pathlib, sys
    options = sys.argv[1:]
    work_dir = pathlib.Path(options[options.index('--work-dir') + 1])
    calls = work_dir / 'calls.txt'
    calls.write_text((calls.read_text() if calls.is_file() else '') + ' '.join(options) + '\\n')
    if 'model.typo=True' in options:
        sys.exit('KeyError: typo')
    is_saved = 'model.unsaved=True' not in options
    (work_dir / 'last_checkpoint').write_text('/where/it/was/epoch_2.pth' if is_saved else 'iter_0.pth')
    if is_saved:
        (work_dir / 'epoch_2.pth').touch()
    if 'model.broken=True' in options and '--resume' not in options:
        sys.exit('KeyError: broken')
"""
EVALUATE = """
    import json, pathlib, sys
    options = sys.argv[1:]
    run = pathlib.Path(options[0]).parent
    assert options[0].endswith('epoch_2.pth')
    seed = int(run.name[-1])
    labels = options[options.index('--labels') + 1 : options.index('--seeds')]
    linear = {label: {'0': 30.0 + seed, '1': 32.0 + seed} for label in labels}
    figures = dict(zero_shot=None, own_head=50.0 + seed, knn=40.0, linear=linear)
    if 'supervised' not in run.name:
        figures.update(zero_shot=20.0 + seed, own_head=None)
        if '--synonyms' in options:
            figures.update(synonyms=15.0)
    out = pathlib.Path(options[options.index('--out') + 1])
    (out / 'table.json').write_text(json.dumps(dict(results=dict(student=figures))))
    with (out / 'calls.txt').open('a') as calls:
        calls.write(' '.join(options) + '\\n')
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The function, with stand-ins for `mmlgd train` and `mmlgd evaluate`, and two configs."""
    (tmp_path / 'train.py').write_text(dedent(TRAIN))
    (tmp_path / 'evaluate.py').write_text(dedent(EVALUATE))
    (tmp_path / 'command.py').write_text(dedent(COMMAND))
    (tmp_path / 'lgd.py').write_text("model = dict(teacher=dict(type='any'))")
    (tmp_path / 'plain.py').write_text("model = dict(type='ImageClassifier')")
    monkeypatch.setattr(runs, 'COMMAND', [sys.executable, str(tmp_path / 'command.py')])
    monkeypatch.setattr(report, 'draw', lambda *given: None)  # it takes longer than the runs
    monkeypatch.setattr(writer, 'use_store', lambda cfg, store: None)  # there is none
    monkeypatch.setattr(trial, 'check_training', lambda config: None)  # there are no such models
    return mmlgd.study


@pytest.fixture
def arguments(tmp_path):
    for place in ('train/cat', 'train/dog', 'val/cat', 'val/dog'):
        (tmp_path / 'images' / place).mkdir(parents=True)
        (tmp_path / 'images' / place / 'a.png').touch()
    return dict(
        data=tmp_path / 'images',
        store='store',
        work_dir=tmp_path / 'study',
        labels=['1', '50%'],
        variants=[f'lgd={tmp_path}/lgd.py:model.loss.alpha=0.3,model.names=[a,b]'],
        seeds=[0],
    )


CHECK_TRAINING, DRAW, USE_STORE = trial.check_training, report.draw, writer.use_store


def calls(run):
    return [line.split() for line in (run / 'calls.txt').read_text().splitlines()]


def test_a_table_of_means(study, arguments, tmp_path, monkeypatch):
    arguments.update(variants=[*arguments['variants'], f'supervised={tmp_path}/plain.py'], seeds=[1, 3])
    with monkeypatch.context() as patch:
        patch.setattr(report, 'draw', DRAW)
        found = study(**arguments)
    printed = table(found['summary'])
    assert '| | zero-shot | 20-NN | linear, 1 a class | linear, 50% | seeds |' in printed
    assert '| lgd | 22.0 ± 1.4 | 40.0 ± 0.0 | 33.0 ± 1.4 | 33.0 ± 1.4 | 2 |' in printed
    assert '| supervised | 52.0 ± 1.4* | ' in printed and '* not zero-shot' in printed
    folder = tmp_path / 'study'
    assert json.loads((folder / 'study.json').read_text()) == json.loads(json.dumps(found))
    assert (folder / 'study.md').read_text().strip() in printed
    assert min(Image.open(folder / 'study.png').size) > 200
    assert found['summary']['lgd']['linear, 50%']['values'] == {'1': 32.0, '3': 34.0}

    (command,) = calls(folder / 'lgd_seed3')
    assert command[0].endswith('lgd.py') and command[command.index('--store') + 1] == 'store'
    assert command[-3:] == ['randomness.seed=3', 'model.loss.alpha=0.3', 'model.names=[a,b]']
    assert '--store' not in calls(folder / 'supervised_seed3')[0]  # it has no teacher

    # What is done stays: a seed more is one run more, other labels are evaluations without training.
    assert '| lgd | 23.0 ± 2.0 |' in table(study(**{**arguments, 'seeds': [1, 3, 5]})['summary'])
    arguments.update(seeds=[1], labels=['1', '20%'])
    assert 'linear, 20%' in table(study(**arguments)['summary'])
    evaluation = calls(folder / 'lgd_seed1/evaluation')[0]
    assert evaluation[evaluation.index('--c') + 1] == '0.01'  # the published figures are of one C
    assert len(calls(folder / 'lgd_seed1')) == 1 and len(calls(folder / 'lgd_seed1/evaluation')) == 2


def test_synonyms_add_an_accuracy_and_its_drop(study, arguments, tmp_path):
    synonyms = tmp_path / 'synonyms.txt'
    synonyms.write_text('kitty\nhound\n')
    arguments.update(variants=[*arguments['variants'], f'supervised={tmp_path}/plain.py'], seeds=[1, 3])
    printed = table(study(**arguments, synonyms=synonyms)['summary'])
    assert '| | zero-shot | with synonyms | drop | 20-NN | ' in printed
    assert '| lgd | 22.0 ± 1.4 | 15.0 ± 0.0 | 7.0 ± 1.4 | ' in printed
    assert '| supervised | 52.0 ± 1.4* | – | – | ' in printed
    synonyms.write_text('cat\nhound\n')  # another file under this name is another evaluation
    study(**arguments, synonyms=synonyms)
    assert len(calls(tmp_path / 'study/lgd_seed1/evaluation')) == 2
    with pytest.raises(ConfigError, match='--synonyms takes a text file or a known set'):
        study(**arguments, synonyms=['kitty', 'hound'])
    with pytest.raises(ConfigError, match='--synonyms has 2 names, but there are 19 classes'):  # not after a training
        study(**dict(arguments, work_dir=tmp_path / 'other'), names='cityscapes', synonyms=synonyms)
    (tmp_path / 'lgd.py').write_text("model = dict(teacher=dict(type='any'), text=dict(vocabulary=['a', 'b', 'c']))")
    with pytest.raises(ConfigError, match='--synonyms has 2 names, but there are 3 classes'):  # those of training
        study(**dict(arguments, work_dir=tmp_path / 'other'), synonyms=synonyms)
    assert not (tmp_path / 'other').exists()


def test_a_variant_removes_a_common_option(study, arguments, tmp_path):
    supervised = f'supervised={tmp_path}/plain.py:model.neck.in_channels=,model.head.in_channels=8'
    common = {'model.neck.in_channels': 8, 'model.neck.in_channels_of': 9}
    study(**{**arguments, 'variants': [*arguments['variants'], supervised], 'cfg_options': common})
    options = ['randomness.seed=0', *write_options(common), 'model.loss.alpha=0.3', 'model.names=[a,b]']
    assert calls(tmp_path / 'study/lgd_seed0')[0][-5:] == options
    options = ['randomness.seed=0', 'model.neck.in_channels_of=9', 'model.head.in_channels=8']
    assert calls(tmp_path / 'study/supervised_seed0')[0][-3:] == options


def test_a_run_that_failed_is_named_and_resumed(study, arguments, tmp_path):
    arguments['variants'][0] += ',model.broken=True'
    with pytest.raises(RuntimeError, match='output.txt and ends with\nKeyError: broken'):
        study(**arguments)
    study(**arguments)
    first, second = calls(tmp_path / 'study/lgd_seed0')
    assert '--resume' not in first and second == [first[0], '--resume', *first[1:]]


def test_a_variant_without_a_checkpoint_may_be_changed(study, arguments):
    with pytest.raises(RuntimeError, match='typo'):
        study(**{**arguments, 'variants': [f'{arguments["variants"][0]},model.typo=True']})
    study(**arguments)


def test_a_run_that_saves_nothing_is_not_finished(study, arguments):
    with pytest.raises(RuntimeError, match='has ended, and there is no checkpoint'):
        study(**{**arguments, 'variants': [f'{arguments["variants"][0]},model.unsaved=True']})


def test_a_checkpoint_that_was_removed_costs_no_training(study, arguments, tmp_path):
    study(**arguments)
    (tmp_path / 'study/lgd_seed0/epoch_2.pth').unlink()
    with pytest.raises(RuntimeError, match='there is no checkpoint of it.*put it back'):
        study(**arguments)
    assert len(calls(tmp_path / 'study/lgd_seed0')) == 1


def test_a_checkpoint_of_an_unknown_run_is_not_gone_on_with(study, arguments, tmp_path):
    study(**arguments)
    (tmp_path / 'study/lgd_seed0/train.json').unlink()
    with pytest.raises(ConfigError, match='not recorded.*or remove the folder'):
        study(**arguments)


def test_a_variant_that_has_changed_is_refused(study, arguments):
    study(**arguments)
    arguments['variants'] = [arguments['variants'][0].replace('0.3', '0.4')]
    with pytest.raises(ValueError, match=r'alpha=0.3.*requested was.*alpha=0.4.*another name'):
        study(**arguments)


def test_a_missing_store_and_the_folder_of_another_run_are_told_before_the_first_training(
    study, arguments, tmp_path, monkeypatch
):
    (tmp_path / 'lgd.py').write_text(
        "model = dict(teacher=dict(type='any'), loss=dict())\n"
        "train_dataloader = dict(sampler=dict(type='DefaultSampler'))"
    )
    both = [f'supervised={tmp_path}/plain.py', f'lgd={tmp_path}/lgd.py']
    with monkeypatch.context() as patch, pytest.raises(StoreError, match='store'):
        patch.setattr(writer, 'use_store', USE_STORE)
        study(**{**arguments, 'variants': both, 'store': tmp_path / 'store'})
    assert not (tmp_path / 'study').exists()
    study(**{**arguments, 'variants': both[1:]})
    both[1] += ':model.loss.alpha=0.3'
    with pytest.raises(ConfigError, match='lgd_seed0 holds a run of.*requested was.*alpha=0.3'):
        study(**{**arguments, 'variants': both})
    assert not (tmp_path / 'study/supervised_seed0').exists()


@pytest.mark.parametrize(
    'option, said',
    [('model.backbone.depth=19', 'invalid depth 19'), ('iterations=4', 'begins at 5 and ends at 4')],
)
def test_a_variant_that_cannot_be_trained_is_told_before_the_first_training(
    study, arguments, tmp_path, monkeypatch, option, said
):
    monkeypatch.setattr(trial, 'check_training', CHECK_TRAINING)
    settings = dict(
        default_scope='mmpretrain',
        iterations=9,
        model=dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=18)),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
        param_scheduler=[dict(type='CosineAnnealingLR', begin=5, end=None)],
    )
    (tmp_path / 'plain.py').write_text(Config(settings).pretty_text)
    arguments['variants'] = [f'a={tmp_path}/plain.py', f'b={tmp_path}/plain.py:{option}']
    with pytest.raises(ConfigError, match=f"variant 'b' cannot be trained.*{said}"):
        study(**arguments)
    assert not (tmp_path / 'study').exists()


def test_what_is_finished_is_not_built_again(study, arguments, tmp_path, monkeypatch):
    """It may have been trained on another machine, with a GPU."""
    study(**arguments)
    monkeypatch.setattr(trial, 'check_training', lambda cfg: pytest.fail('built'))
    study(**arguments)


def test_weights_are_read_once_for_all_finished_seeds(study, arguments, tmp_path, monkeypatch):
    arguments['seeds'] = [0, 1, 2]
    (tmp_path / 'lgd.py').write_text(f"model = dict(teacher=dict(type='any', weights='{tmp_path}/clip.pt'))")
    (tmp_path / 'clip.pt').write_text('one')
    study(**arguments)
    read = []
    monkeypatch.setattr(digests, 'digest_of', lambda file: read.append(file) or digest_of(file))
    study(**arguments)
    assert read.count(f'{tmp_path}/clip.pt') == 1
    (tmp_path / 'clip.pt').write_text('other')
    with pytest.raises(ConfigError, match='other contents of .*clip.pt'):
        study(**arguments)


def test_class_names_that_a_variable_names_may_not_change(study, arguments, tmp_path):
    (tmp_path / 'names.txt').write_text('cat\ndog\n')
    (tmp_path / 'lgd.py').write_text(
        f"names = '{tmp_path}/names.txt'\nmodel = dict(teacher=dict(type='any'), text=dict(vocabulary=None))"
    )
    arguments['variants'] = [f'lgd={tmp_path}/lgd.py']
    study(**arguments)
    (tmp_path / 'names.txt').write_text('cat\nwolf\n')
    with pytest.raises(ConfigError, match='lgd_seed0 holds a run with other contents of .*names.txt'):
        study(**arguments)


@pytest.mark.parametrize('changed', ['lgd.py', 'store/store.json'])
def test_a_config_or_store_that_has_changed_is_refused(study, arguments, tmp_path, monkeypatch, changed):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'store').mkdir()
    (tmp_path / 'store/store.json').write_text('{}')
    study(**arguments)
    file = tmp_path / changed
    file.write_text(file.read_text().replace('any', 'other') + ' ')
    if changed.endswith('.py'):  # what it says counts, not how it is written
        file.write_text("model = dict(teacher=dict(type='any'))  # a comment")
        study(**arguments)
        file.write_text("model = dict(teacher=dict(type='another'))")
    with pytest.raises(ValueError, match=rf'other contents of .*{changed.split("/")[0]}'):
        study(**arguments)


def test_another_checkpoint_is_evaluated_anew(study, arguments, tmp_path):
    run = tmp_path / 'study/lgd_seed0'
    study(**arguments)
    (run / 'epoch_2.pth').write_bytes(b'trained by hand')
    study(**arguments)
    study(**arguments)
    assert len(calls(run)) == 1 and len(calls(run / 'evaluation')) == 2
    (tmp_path / 'evaluate.py').write_text("raise KeyError('full disk')")
    (run / 'epoch_2.pth').write_bytes(b'once more')
    with pytest.raises(RuntimeError, match='full disk'):
        study(**arguments)
    assert not (run / 'evaluation/arguments.json').exists()  # what is in table.json now, nobody knows


def test_a_table_that_is_damaged_is_made_again(study, arguments, tmp_path):
    found, run = study(**arguments), tmp_path / 'study/lgd_seed0'
    for name in ('table.json', 'arguments.json'):
        (run / 'evaluation' / name).write_text('{"results": ')
        assert study(**arguments) == found
    (run / 'evaluation/table.json').unlink()
    assert study(**arguments) == found and len(calls(run / 'evaluation')) == 4 and len(calls(run)) == 1
    (run / 'train.json').write_text('{"arguments"')
    with pytest.raises(ConfigError, match='train.json is damaged.* or remove .*lgd_seed0.$'):
        study(**arguments)


def test_other_labels_are_evaluated_anew_and_not_trained_on(study, arguments, tmp_path):
    data = arguments['data']
    arguments['variants'].append(f'supervised={tmp_path}/plain.py')
    images = dict(type='CustomDataset', data_root=str(data), data_prefix='train')
    (tmp_path / 'plain.py').open('a').write(f'\ntrain_dataloader = dict(dataset={images})')
    study(**arguments)
    record = tmp_path / 'study/lgd_seed0/evaluation/arguments.json'
    record.write_text(json.dumps({k: v for k, v in json.loads(record.read_text()).items() if k != 'labels'}))
    study(**arguments)  # of an earlier version, which did not record them
    (data / 'val/cat/a.png').rename(data / 'val/cat/b.png')
    study(**arguments)
    runs = [tmp_path / f'study/{name}_seed0' for name in ('lgd', 'supervised')]
    assert [(len(calls(run)), len(calls(run / 'evaluation'))) for run in runs] == [(1, 2), (1, 2)]
    (data / 'train.txt').write_text('cat/a.png 0\ndog/a.png 1\n')
    (data / 'val.txt').write_text('cat/b.png 0\n')
    study(**dict(arguments, variants=arguments['variants'][:1]))
    assert len(calls(runs[0] / 'evaluation')) == 3
    (data / 'train/cat/c.png').touch()
    with pytest.raises(ConfigError, match=r'supervised_seed0 holds a run with other contents of .*images/train/\*'):
        study(**arguments)


@pytest.mark.parametrize('variants', [['lgd.py'], ['a=x'], ['a=x.py', 'a=y.py'], []])
def test_bad_variants_are_named(study, variants):
    with pytest.raises(ConfigError, match='variants'):
        study(data='images', variants=variants)


@pytest.mark.parametrize(
    'option, message',
    [
        (dict(labels=['0']), '--labels takes a share'),
        (dict(labels=['1', '1']), "--labels has '1' twice"),
        (dict(seeds=[0, 0]), '--seeds has 0 twice'),
        (dict(draws=[-1]), 'a seed from 0'),
        (dict(size=-5), 'from 8 to'),
        (dict(workers=-1), 'from 0 to 512'),
        (dict(labels=['5']), '--labels 5: The class cat'),
        (dict(names='cityscapes'), 'has 2 classes, but the vocabulary has 19 names'),
        (dict(seeds=[]), '--seeds is empty'),
        (dict(draws=[]), '--draws is empty'),
        (dict(labels=[]), '--labels is empty'),
        (dict(cfg_options={'randomness.seed': 3}), 'Give --seeds instead'),
    ],
)
def test_options_of_the_evaluation_are_refused_before_the_first_training(study, arguments, tmp_path, option, message):
    with pytest.raises(ConfigError, match=message):
        study(**{**arguments, **option})
    assert not (tmp_path / 'study').exists()


def test_images_that_are_not_there_are_missed_before_the_first_training(study, arguments, tmp_path):
    with pytest.raises(MissingFileError, match='no such folder'):
        study(**dict(arguments, data='gone'))
    assert not (tmp_path / 'study').exists()


def test_an_option_that_no_config_reads_is_refused_before_the_first_training(study, arguments, tmp_path):
    arguments['variants'].append(f'typo={tmp_path}/lgd.py:modl=3')
    with pytest.raises(ConfigError, match='the config has no modl'):
        study(**arguments)
    assert not (tmp_path / 'study').exists()


STUDIES = ROOT / 'configs/small/studies'


@pytest.mark.parametrize(
    'variants', sorted(file.stem for file in STUDIES.glob('*.txt') if '--variants' in file.read_text())
)
def test_the_variants_of_our_studies_have_a_model(variants, tiny_clip, tmp_path, monkeypatch, mmpretrain_scope):
    options = 'scaled_down_mobilenetv2' if variants.endswith('mobilenetv2') else 'scaled_down'
    (tmp_path / 'classes.txt').write_text('cat\ndog\ntree\n')
    monkeypatch.chdir(ROOT)
    arguments = [f'@{STUDIES / options}.txt', '--data', 'images', f'@{STUDIES / variants}.txt']
    given = main.get_command(None, 'study').make_context('study', arguments).params
    for variant in read_variants(given['variants']).values():
        cfg = Config.fromfile(variant.config)
        cfg.merge_from_dict(read_options(options_of(variant, given['cfg_options'])))
        cfg.data_root = str(tmp_path)
        fill_in(cfg)
        if 'teacher' in cfg.model:
            cfg.model.teacher = dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip)
            cfg.model.text.vocabulary = ['cat', 'dog', 'tree']  # in place of files that the docs make
        model = MODELS.build(cfg.model).eval()
        model(torch.zeros(2, 3, 64, 64))


SMALL = """
    _base_ = r'{base}'
    train_dataloader = dict(batch_size=10)
    val_dataloader = test_dataloader = dict(batch_size=10, dataset=dict(indices=None))
    param_scheduler = [dict(type='ConstantLR', factor=1.0)]
    train_cfg = dict(max_epochs=1, val_interval=1)
"""
TEACHER = """
    model = dict(
        compile=False,
        backbone=dict(base_channels=8, stem_channels=8),
        neck=dict(in_channels=64),
        teacher=dict(_delete_=True, type='mmlgd.OpenCLIPTeacher', model=r'{clip}'))
"""


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_student_and_a_classifier_from_images_to_table(tiny_clip, tmp_path, monkeypatch):
    """The real tools, on the demo's images in class folders, from a store."""
    pytest.importorskip('sklearn')
    world, data = write_demo_world(tmp_path / 'world', num_objects=(60, 20), num_scenes=(10, 10)), tmp_path / 'data'
    for split in ('train', 'val'):
        for line in (world / f'objects/{split}.txt').read_text().splitlines():
            file, label = line.split()
            target = data / split / DEMO_CLASSES[int(label)] / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(world / 'objects' / split / file)
    (data / 'classes.txt').write_text('\n'.join(sorted(DEMO_CLASSES)))
    folder = ROOT / 'configs/small'
    for name, base in (
        ('seed', folder / 'baselines/seed_resnet18-half_tiny-imagenet.py'),
        ('supervised', folder / 'baselines/supervised_resnet18-half_tiny-imagenet.py'),
    ):
        text = SMALL + (TEACHER if name == 'seed' else '')
        (tmp_path / f'{name}.py').write_text(dedent(text.format(base=base, clip=tiny_clip)))
    before = DefaultScope.get_current_instance()
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(tmp_path / 'seed.py')
    cfg.data_root = str(data)
    fill_in(cfg)
    writer.write_store(cfg, tmp_path / 'store', views=1)
    if before is not None:
        init_default_scope(before.scope_name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    variants = [f'{name}={tmp_path}/{name}.py' for name in ('seed', 'supervised')]
    how = dict(data=data, store=tmp_path / 'store', seeds=[0], labels=['1'], draws=[0], workers=0)
    mmlgd.study(variants=variants, **how)
    report = json.loads((tmp_path / 'work_dirs/study/study.json').read_text())
    assert set(report['summary']['seed']) == {'zero-shot', '20-NN', 'linear, 1 a class'}
    assert report['summary']['supervised']['zero-shot']['own']
    # Its own head, of the last evaluation of training, is what the table has.
    log = next((tmp_path / 'work_dirs/study/supervised_seed0').glob('*/vis_data/scalars.json')).read_text()
    own = [json.loads(line)['accuracy/top1'] for line in log.splitlines() if 'accuracy/top1' in line][-1]
    assert report['runs']['supervised']['0']['own_head'] == pytest.approx(own, abs=1e-3)
