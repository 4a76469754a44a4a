"""The evaluation of frozen students: its table, and what it refuses before all work."""

import copy
import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from mmengine.config import Config
from PIL import Image

import mmlgd
from mmlgd.cli.__main__ import main
from mmlgd.datasets import BadImageError
from mmlgd.demo import DEMO_CLASSES
from mmlgd.errors import MMLGDError
from mmlgd.evaluation import FrozenModel, extract, frozen, linear_accuracy, lineup, splits, top1
from mmlgd.evaluation.lineup import load_models, reader
from mmlgd.evaluation.probes import CS, DEFAULT_C
from mmlgd.evaluation.splits import drawn, load_split
from mmlgd.registry import MODELS
from mmlgd.student import Student
from mmlgd.student.image_size import reading_pipeline, resized
from mmlgd.utils.files import WriteError

pytest.importorskip('sklearn')
TINY = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)


@pytest.fixture(scope='module')
def student(lgd_checkpoint, tiny_clip):
    """Loaded once: its teacher lies in a folder, which has to be named."""
    return mmlgd.Student(lgd_checkpoint, device='cpu', teacher=dict(model=tiny_clip))


@pytest.fixture(scope='module')
def named(student):
    return student.with_names(list(DEMO_CLASSES))


@pytest.fixture
def run(tmp_path):
    """Evaluate with one draw of one label a class, unless something else is asked for."""

    def run(checkpoint=None, **options):
        options = {**dict(labels=['1'], seeds=[0], c=0.01, size=64, workers=0, out=tmp_path / 'out'), **options}
        before = torch.get_rng_state()
        report = mmlgd.evaluate(checkpoint, **options)
        assert torch.equal(torch.get_rng_state(), before)
        assert json.loads((tmp_path / 'out/table.json').read_text()) == json.loads(json.dumps(report))
        return report, (tmp_path / 'out/table.md').read_text()

    return run


def test_side_by_side_by_the_command(lgd_checkpoint, world, tiny_clip, tmp_path):
    arguments = f'evaluate {lgd_checkpoint} --students random=none --labels 2 50% 100% --seeds 0 1 --teacher --c 0.01'
    arguments += f' --data {world / "objects"} --names {world / "names.txt"} --teacher-options model={tiny_clip}'
    told = CliRunner().invoke(main, [*arguments.split(), '--workers', '0', '--size', '64', '--out', str(tmp_path)])
    assert told.exit_code == 0, told.output
    report, text = json.loads((tmp_path / 'table.json').read_text()), (tmp_path / 'table.md').read_text()
    assert text in told.output and 'Top-1 in per cent' in told.output
    assert list(report['results']) == ['student', 'random', 'teacher']
    assert report['images'] == dict(train=60, val=20) and report['names'] == list(DEMO_CLASSES)
    for result in report['results'].values():
        assert {labels: list(values) for labels, values in result['linear'].items()} == {
            '2': ['0', '1'],
            '50%': ['0', '1'],
            '100%': ['0'],  # all labels are the same labels, whatever the seed
        }
        numbers = [result['knn'], *(value for values in result['linear'].values() for value in values.values())]
        assert all(0 <= number <= 100 for number in numbers)
    assert report['results']['random']['zero_shot'] is None
    lines = text.splitlines()
    assert lines[0] == '| | zero-shot | 20-NN | linear, 2 a class | linear, 50% | linear, 100% |'
    assert lines[3].startswith('| random | – | ') and lines[2].count(' ± ') == 2


def test_the_figures_are_those_of_the_features(run, named, world):
    report, _ = run(named, data=world / 'objects', labels=['3'], seeds=[5])
    pipeline = reading_pipeline(None, resized((64, 64)))
    train, val = (load_split(world / 'objects', split, pipeline) for split in ('train', 'val'))
    model = FrozenModel.of_student(named)
    seen, unseen = (extract(dict(it=model), reader(split, pipeline, workers=0))['it'] for split in (train, val))
    result = report['results']['student']
    assert result['zero_shot'] == pytest.approx(top1(unseen.embeddings @ model.bank.T, val.labels))
    chosen = drawn(train, '3', seed=5)
    probe = linear_accuracy(seen.features[chosen], train.labels[chosen], unseen.features, val.labels, 0.01)
    assert result['linear']['3']['5'] == pytest.approx(probe)


def test_a_student_has_the_row_of_its_checkpoint(run, lgd_checkpoint, world):
    by_path, _ = run(lgd_checkpoint, data=world / 'objects', labels='2', seeds=0)  # one value counts as a list
    student = mmlgd.Student(lgd_checkpoint, device='cpu')
    by_student, _ = run(student, data=world / 'objects', labels='2', seeds=0)
    assert by_path['results'] == by_student['results'] and list(by_path['results']['student']['linear']) == ['2']


def test_each_model_has_its_own_order_of_the_names(run, student, named, folders):
    other = student.with_names(list(DEMO_CLASSES)[::-1])
    report, _ = run(students=dict(one=named, other=other), data=folders)
    one, other = (report['results'][name] for name in ('one', 'other'))
    assert one['zero_shot'] == other['zero_shot'] and one['linear'] == other['linear']


def test_the_table_of_other_data_stays(run, named, world, tmp_path):
    run(named, data=world / 'objects')
    with pytest.raises(MMLGDError, match='has the table of .*objects, not of .*link: give another folder by --out'):
        (tmp_path / 'link').mkdir()
        for part in ('train', 'val'):
            (tmp_path / 'link' / part).symlink_to(world / 'objects' / part)
        run(named, data=tmp_path / 'link')


def test_synonyms_have_an_accuracy_and_a_drop(run, named, world, tiny_clip):
    """As of a student with these names; the teacher's, too, and none of a backbone alone."""
    synonyms = [f'{name} thing' for name in DEMO_CLASSES[:4]] + [name.upper() for name in DEMO_CLASSES[4:]]
    options = dict(data=world / 'objects', students=dict(random='none'), teacher=True)
    options.update(teacher_options=dict(model=tiny_clip))
    report, text = run(named, **options, synonyms=synonyms)
    other, _ = run(named, **options, names=synonyms)
    results = report['results']
    for name in ('student', 'teacher'):
        assert results[name]['synonyms'] == other['results'][name]['zero_shot']
    assert results['random']['synonyms'] is None and report['synonyms'] == synonyms
    assert report['notes'] == ['4 of 10 classes have other words in the synonyms.']
    assert '| | zero-shot | with synonyms | drop | 20-NN |' in text
    drop = results['student']['zero_shot'] - results['student']['synonyms']
    assert f'| {results["student"]["synonyms"]:.1f} | {drop:.1f} |' in text and '| random | – | – | – |' in text


def test_synonyms_must_name_the_same_classes(run, named, world, tmp_path, monkeypatch):
    monkeypatch.setattr(frozen, 'extract', lambda *_: pytest.fail('it has begun to work'))
    with pytest.raises(MMLGDError, match='--synonyms has 2 names, but there are 10 classes'):
        run(named, data=world / 'objects', synonyms=['cat', 'dog'])
    other_order = [f'{DEMO_CLASSES[1]} thing|{DEMO_CLASSES[1].upper()}', *DEMO_CLASSES[2:], DEMO_CLASSES[0]]
    with pytest.raises(MMLGDError, match=f"for class 1, '{DEMO_CLASSES[0]}', but it is a name of class 2"):
        run(named, data=world / 'objects', synonyms=other_order)
    config = tmp_path / 'config.py'
    config.write_text(f'model = dict(backbone={TINY})')
    with pytest.raises(MMLGDError, match='--synonyms needs a student with class names'):
        run(students=dict(random='none'), backbone=config, data=world / 'objects', synonyms=['cat', 'dog'])


def test_a_wrong_number_of_synonyms_is_refused_before_models_are_built(run, named, world, monkeypatch):
    """The teacher, which would embed them, may be a download of gigabytes."""
    monkeypatch.setattr(Student, 'with_names', lambda *_, **__: pytest.fail('it asks the teacher'))
    with pytest.raises(MMLGDError, match='--synonyms has 2 names, but there are 10 classes'):
        run(named, data=world / 'objects', synonyms=['cat', 'dog'])
    monkeypatch.setattr('mmlgd.evaluation.lineup.load_models', lambda *_: pytest.fail('it builds models'))
    with pytest.raises(MMLGDError, match='--synonyms has 2 names, but there are 3 classes'):
        run(named, data=world / 'objects', names=['a', 'b', 'c'], synonyms=['cat', 'dog'])


def test_a_random_start_is_the_same_in_every_call_and_starts_no_gpu(tmp_path, monkeypatch):
    config = tmp_path / 'config.py'
    config.write_text(f'model = dict(backbone={TINY})')
    asked = []
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 4)
    monkeypatch.setattr(torch.cuda, 'get_rng_state', lambda device: asked.append(device) or torch.get_rng_state())
    monkeypatch.setattr(torch.cuda, 'set_rng_state', lambda state, device: None)
    before = torch.get_rng_state()
    first, second = (load_models(dict(random='none'), backbone=config)['random'] for _ in range(2))
    assert torch.equal(first.backbone.conv1.weight, second.backbone.conv1.weight) and asked == []
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_a_bad_image_stops_the_evaluation(run, named, world, tmp_path, split):
    """Half a JPEG file, which OpenCV 4 takes for an image; under the name of a PNG file, which is no matter."""
    data = shutil.copytree(world / 'objects', tmp_path / 'data')
    victim = sorted((data / split).iterdir())[3]
    content = io.BytesIO()
    Image.open(victim).convert('RGB').save(content, 'JPEG')
    victim.write_bytes(content.getvalue()[:-100])
    with pytest.raises(BadImageError, match=f'{victim.name} cannot be used: it is cut off'):
        run(named, data=data)
    assert not (tmp_path / 'out').exists()


def test_a_random_start_of_a_given_backbone_is_the_same_each_time(run, world, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(f'model = dict(backbone={TINY})')
    kinds = dict(random='none'), 'random=none'
    first, again = (run(students=one, backbone=config, data=world / 'objects')[0] for one in kinds)
    assert first['results'] == again['results']
    assert first['results']['random']['zero_shot'] is None and 0 <= first['results']['random']['knn'] <= 100


@pytest.mark.parametrize('classes', [10, 11])
def test_a_classifier_has_the_accuracy_of_its_own_head(run, world, tmp_path, classes):
    model = dict(
        type='mmpretrain.ImageClassifier',
        backbone=TINY,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=classes, in_channels=64),
    )
    state = MODELS.build({**copy.deepcopy(model), '_scope_': 'mmpretrain'}).state_dict()
    state['head.fc.weight'].zero_()
    state['head.fc.bias'].copy_(torch.arange(classes) == 3)  # whatever it sees, it says 3
    torch.save(
        dict(meta=dict(cfg=Config(dict(model=model)).pretty_text), state_dict=state), tmp_path / 'supervised.pth'
    )
    file = tmp_path / 'supervised.pth'
    report, text = run(file, data=world / 'objects')
    assert run(mmlgd.Student(file), data=world / 'objects')[0]['results'] == report['results']
    result = report['results']['student']
    assert result['zero_shot'] is None
    if classes == 10:  # as many as the data has
        labels = [line.split()[1] for line in (world / 'objects/val.txt').read_text().splitlines()]
        assert result['own_head'] == pytest.approx(100 * labels.count('3') / len(labels))
        assert f'| student | {result["own_head"]:.1f}* | ' in text and '* not zero-shot' in text
    else:
        assert result['own_head'] is None and '| student | – | ' in text


def test_another_teacher_is_refused(student, world):
    with pytest.raises(ValueError, match='RN50.*cannot be compared'):
        load_models(dict(a=student), with_teacher=True, teacher=dict(model='RN50', pretrained=None))


def test_names_of_training_that_are_not_those_of_the_data_leave_zero_shot_out(run, student, folders):
    report, text = run(student, data=folders)
    assert report['results']['student']['zero_shot'] is None and '| student | – |' in text
    assert 'No zero-shot: ' in report['notes'][0]


def test_what_is_wrong_is_named_before_the_work(run, student, folders, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(frozen, 'extract', lambda *_: pytest.fail('it has begun to work'))
    two = photos(sizes=((64, 64),) * 2)
    with pytest.raises(MMLGDError, match='--k 3 nearest neighbours are more than the 2 training'):
        run(student, data=two, k=3)
    with pytest.raises(ValueError, match='fewer than 9'):
        run(student, data=folders, labels=['9'])
    monkeypatch.setattr(splits, 'load_split', lambda *_: pytest.fail('it has looked for images'))
    with pytest.raises(FileNotFoundError, match='There is no checkpoint'):
        run(tmp_path / 'epoch_9.pth', data=folders)
    with pytest.raises(ValueError, match="'none' does not define its backbone"):
        run(students=['random=none'], data=folders)
    with pytest.raises(MMLGDError, match="no config at 'none.py'"):
        run(student, data=folders, backbone='none.py')
    monkeypatch.setattr(lineup, 'load_models', lambda *_: pytest.fail('it has begun to load'))
    with pytest.raises(ValueError, match='The table .* lies in the folder of images .*for example --out'):
        run(student, data=folders, out=folders / 'train' / 'table')
    assert not (folders / 'train' / 'table').exists()
    (tmp_path / 'file').touch()
    for out in ('/proc/there/is/none', tmp_path / 'file', tmp_path / 'file/deeper'):
        with pytest.raises(WriteError, match='Cannot write'):
            run(student, data=folders, out=out)
    monkeypatch.setitem(sys.modules, 'sklearn', None)
    monkeypatch.setattr('mmlgd.run.evaluating.find_spec', lambda name: None)
    with pytest.raises(MMLGDError, match='need scikit-learn'):
        run(student, data=folders)


@pytest.fixture
def sized_student(lgd_checkpoint, tmp_path):
    """A student that was trained at a size, with an evaluation that takes images as they are, as the demo's."""

    def student(size):
        content = torch.load(lgd_checkpoint, weights_only=True)
        steps = dict(
            train=[dict(type='mmpretrain.RandomResizedCrop', scale=size)],
            test=[dict(type='LoadImageFromFile'), dict(type='mmpretrain.PackInputs')],
        )
        loaders = {f'{phase}_dataloader': dict(dataset=dict(pipeline=pipeline)) for phase, pipeline in steps.items()}
        content['meta']['cfg'] += Config(loaders).pretty_text
        torch.save(content, tmp_path / f'{size}.pth')
        return tmp_path / f'{size}.pth'

    return student


def test_each_student_sees_ordinary_photos_at_its_own_size(sized_student, photos, tiny_clip, run, monkeypatch):
    """Photos of different sizes do not stack, and students of two sizes are compared in one call."""
    shown, forward = {}, FrozenModel.forward

    def spy(self, inputs):
        shown.setdefault(id(self), set()).add(tuple(inputs.shape[2:]))
        return forward(self, inputs)

    monkeypatch.setattr(FrozenModel, 'forward', spy)
    models = {}
    monkeypatch.setattr(lineup, 'load_models', lambda *args: models.update(load_models(*args)) or models)
    students = [f'small={sized_student(32)}', f'large={sized_student(64)}', 'random=none']
    options = dict(students=students, data=photos(), k=2, teacher=True, teacher_options=dict(model=tiny_clip))
    report, _ = run(**options, size=None)
    assert {name: shown[id(model)] for name, model in models.items()} == {
        **dict(small={(32, 32)}, large={(64, 64)}, random={(32, 32)}, teacher={(32, 32)})
    }
    assert report['pipelines']['large'][2]['crop_size'] == (64, 64)
    shown.clear()
    run(**options, size=48)
    assert set().union(*shown.values()) == {(48, 48)}


def test_a_path_that_is_no_utf_8_is_written(run, student, photos, tmp_path):
    data = photos(Path(os.fsdecode(os.fsencode(tmp_path) + b'/\xff')), sizes=((64, 64),) * 2)
    report, _ = run(student, data=data, k=1, size=32)
    assert report['data'] == str(data)


def test_c_is_chosen_for_each_probe_or_given(run, student, world):
    options = dict(data=world / 'objects', labels=['1', '100%'])
    chosen = run(student, **options, c=None)[0]['results']['student']['c']
    assert chosen['1'] == {'0': DEFAULT_C} and chosen['100%']['0'] in CS
    given, _ = run(student, **options, c=0.3)
    assert given['c'] == 0.3 and given['results']['student']['c'] == {'1': {'0': 0.3}, '100%': {'0': 0.3}}


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(checkpoint=None), 'nothing to evaluate'),
        (dict(students=['none']), 'NAME=SOURCE'),
        (dict(students=['a|b=y.pth']), 'NAME=SOURCE'),
        (dict(students={'a|b': 'y.pth'}), 'NAME=SOURCE'),
        (dict(students=['student=y.pth']), "--students has 'student' twice"),
        (dict(students=['teacher=y.pth'], teacher=True), "--students has 'teacher' twice"),
        (dict(labels=['ten']), 'a share such as 10%'),
        (dict(labels=['0']), 'a share such as 10%'),
        (dict(labels=['0%']), 'such as 10%, up to 100%'),
        (dict(labels=['200%']), 'such as 10%, up to 100%'),
        (dict(labels=['9' * 5000]), 'a share such as 10%'),
        (dict(labels=['5', '5']), "--labels has '5' twice"),
        (dict(seeds=[-1]), 'from 0 to 4294967295'),
        (dict(seeds=[]), '--seeds is empty'),
        (dict(seeds=[2**70]), 'from 0 to 4294967295'),
        (dict(seeds=[1, 1]), '--seeds has 1 twice'),
        (dict(k=0), 'k from 1 to'),
        (dict(k=1.5), 'k from 1 to'),
        (dict(c=0), 'a number above 0'),
        (dict(c=-1.0), 'a number above 0'),
        (dict(c=float('nan')), 'a number above 0'),
        (dict(batch_size=0), 'batch size from 1 to'),
        (dict(workers=-1), 'workers from 0 to'),
        (dict(size=0), 'pixels from 8 to'),
        (dict(size=1), 'pixels from 8 to'),
        (dict(size=1000000), 'pixels from 8 to'),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(MMLGDError, match=message):
        mmlgd.evaluate(**{**dict(checkpoint='x.pth', data='folder'), **options})
