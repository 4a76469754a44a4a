"""The evaluation of frozen students: its table, its draws of labels, and what it refuses."""

import argparse
import copy
import importlib.util
import io
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
from PIL import Image

from mmlgd.datasets import BadPictureError
from mmlgd.datasets.label_subset import draw
from mmlgd.demo import DEMO_CLASSES, write_demo_world
from mmlgd.errors import MMLGDError
from mmlgd.evaluation import extract, linear_accuracy, load_frozen, top1
from mmlgd.evaluation.probes import CS, DEFAULT_C
from mmlgd.registry import MODELS
from mmlgd.utils.files import WriteError
from tests import ROOT

pytest.importorskip('sklearn')
TOOLS = ROOT / 'tools'


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    spec = importlib.util.spec_from_file_location('evaluate', TOOLS / 'evaluate.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    before = DefaultScope.get_current_instance()
    yield module
    if before is not None:
        init_default_scope(before.scope_name)


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    return write_demo_world(tmp_path_factory.mktemp('world') / 'demo', num_objects=(60, 20), num_scenes=(10, 10))


@pytest.fixture(scope='module')
def folders(tmp_path_factory, world):
    """The same pictures in class folders, which are sorted: their labels are not those of the world."""
    root = tmp_path_factory.mktemp('folders')
    for split in ('train', 'val'):
        for line in (world / f'objects/{split}.txt').read_text().splitlines():
            file, label = line.split()
            target = root / split / DEMO_CLASSES[int(label)] / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(world / 'objects' / split / file)
    return root


@pytest.fixture
def run(tool, tmp_path):
    def run(*arguments, size=64):
        out = tmp_path / 'out'
        report = tool.main([*map(str, arguments), '--workers', '0', '--size', str(size), '--out', str(out)])
        assert json.loads((out / 'table.json').read_text()) == json.loads(json.dumps(report))
        return report, (out / 'table.md').read_text()

    return run


@pytest.fixture
def named(tiny_clip):
    """The teacher lies in a folder, which has to be named."""
    return ['--teacher-options', f'model={tiny_clip}']


def test_side_by_side(run, lgd_checkpoint, world, named):
    arguments = [
        lgd_checkpoint,
        '--students',
        'random=none',
        '--data',
        world / 'objects',
        '--labels',
        '2',
        '50%',
        '100%',
    ]
    report, text = run(*arguments, '--names', world / 'names.txt', '--teacher', *named, '--seeds', '0', '1')
    assert list(report['results']) == ['student', 'random', 'teacher']
    assert report['pictures'] == dict(train=60, val=20) and report['names'] == list(DEMO_CLASSES)
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


def test_the_figures_are_those_of_the_features(tool, run, lgd_checkpoint, world, tiny_clip, named):
    arguments = [lgd_checkpoint, '--data', world / 'objects', '--names', world / 'names.txt', *named]
    report, _ = run(*arguments, '--labels', '3', '--seeds', '5')
    model = load_frozen(str(lgd_checkpoint), list(DEMO_CLASSES), teacher=dict(model=tiny_clip))
    train, val = (
        tool.load_split(world / 'objects', split, tool.pipeline_of(None, tool.sized(64))) for split in ('train', 'val')
    )
    found = []
    for split in (train, val):
        batch = dict(inputs=torch.stack([data['inputs'] for data in split.dataset]), data_samples=[])
        found.append(extract(dict(student=model), [batch])['student'])
    result = report['results']['student']
    assert result['zero_shot'] == pytest.approx(top1(found[1].embeddings @ model.bank.T, val.labels))
    chosen = tool.drawn(train, '3', seed=5)
    probe = linear_accuracy(found[0].features[chosen], train.labels[chosen], found[1].features, val.labels)
    assert result['linear']['3']['5'] == pytest.approx(probe)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_a_bad_picture_stops_the_evaluation(run, lgd_checkpoint, world, tmp_path, split, named):
    """Half a JPEG file, which OpenCV 4 takes for a picture; under the name of a PNG file, which is no matter."""
    data = shutil.copytree(world / 'objects', tmp_path / 'data')
    victim = sorted((data / split).iterdir())[3]
    content = io.BytesIO()
    Image.open(victim).convert('RGB').save(content, 'JPEG')
    victim.write_bytes(content.getvalue()[:-100])
    with pytest.raises(BadPictureError, match=f'{victim.name} cannot be used: it is cut off'):
        run(lgd_checkpoint, '--data', data, '--names', world / 'names.txt', '--labels', '2', *named)
    assert not (tmp_path / 'out').exists()


def test_a_random_start_of_a_given_backbone_is_the_same_each_time(run, world, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(
        "model = dict(backbone=dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8))"
    )
    arguments = ['--students', 'random=none', '--backbone', config, '--data', world / 'objects', '--labels', '2']
    first, _ = run(*arguments)
    assert first['results'] == run(*arguments)[0]['results']
    assert first['results']['random']['zero_shot'] is None and 0 <= first['results']['random']['knn'] <= 100


@pytest.mark.parametrize('classes', [10, 11])
def test_a_classifier_has_the_accuracy_of_its_own_head(run, world, tmp_path, classes):
    model = dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=classes, in_channels=64),
    )
    init_default_scope('mmpretrain')
    state = MODELS.build(copy.deepcopy(model)).state_dict()
    state['head.fc.weight'].zero_()
    state['head.fc.bias'].copy_(torch.arange(classes) == 3)  # whatever it sees, it says 3
    torch.save(
        dict(meta=dict(cfg=Config(dict(model=model)).pretty_text), state_dict=state), tmp_path / 'supervised.pth'
    )
    arguments = [tmp_path / 'supervised.pth', '--data', world / 'objects', '--labels', '2', '--seeds', '0']
    report, text = run(*arguments)
    result = report['results']['student']
    assert result['zero_shot'] is None
    if classes == 10:  # as many as the data has
        labels = [line.split()[1] for line in (world / 'objects/val.txt').read_text().splitlines()]
        assert result['own_head'] == pytest.approx(100 * labels.count('3') / len(labels))
        assert f'| student | {result["own_head"]:.1f}* | ' in text and '* not zero-shot' in text
    else:
        assert result['own_head'] is None and '| student | – | ' in text


def test_another_teacher_is_refused(run, lgd_checkpoint, world):
    arguments = [lgd_checkpoint, '--data', world / 'objects', '--teacher', '--teacher-options']
    with pytest.raises(ValueError, match='RN50.*cannot be compared'):
        run(*arguments, 'model=RN50', 'pretrained=None')


def test_labels_are_those_of_label_subset(tool, folders):
    train = tool.load_split(folders, 'train', tool.sized(64))
    assert train.folders == sorted(DEMO_CLASSES)
    for labels, how in (('2', dict(per_class=2)), ('50%', dict(percent=50))):
        lines = draw(folders / 'train', seed=3, **how)
        chosen = tool.drawn(train, labels, seed=3)
        assert [f'{train.files[i]} {train.labels[i]}' for i in chosen] == lines
    listed = tool.drawn(tool.load_split(folders, 'val', []), '100%', seed=0)
    assert sorted(listed) == list(range(20))


def test_names_of_another_order_or_number_are_refused(run, lgd_checkpoint, folders, world, tmp_path, capsys, named):
    with pytest.raises(ValueError, match="another order .folder 2 is 'cross', name 2 is 'star'"):
        run(lgd_checkpoint, '--data', folders, '--names', world / 'names.txt', *named)
    (tmp_path / 'names.txt').write_text('cat\ndog\n')
    with pytest.raises(ValueError, match='has 10 classes and the vocabulary 2 names. Give one name for each class'):
        run(lgd_checkpoint, '--data', folders, '--names', tmp_path / 'names.txt', *named)
    report, _ = run(lgd_checkpoint, '--data', folders, '--labels', '1', '--seeds', '0')  # five names of training
    assert report['results']['student']['zero_shot'] is None
    assert 'No zero-shot: ' in capsys.readouterr().out


@pytest.mark.parametrize(
    'arguments, message',
    [
        ([], 'nothing to evaluate'),
        (['--students', 'none'], 'NAME=SOURCE'),
        (['x.pth', '--labels', 'ten'], 'a share as 10%'),
        (['x.pth', '--labels', '0'], 'a share as 10%'),
        (['x.pth', '--labels', '0%'], 'a share as 10%, up to 100%'),
        (['x.pth', '--labels', '200%'], 'a share as 10%, up to 100%'),
        (['x.pth', '--labels', '9' * 5000], 'a share as 10%'),
        (['x.pth', '--labels', '5', '5'], "--labels has '5' twice"),
        (['x.pth', '--seeds', '-1'], 'from 0 to 4294967295'),
        (['x.pth', '--seeds', str(2**70)], 'from 0 to 4294967295'),
        (['x.pth', '--seeds', '1', '1'], '--seeds has 1 twice'),
        (['x.pth', '--k', '0'], 'from 1 to'),
        (['x.pth', '--k', '1.5'], 'from 1 to'),
        (['x.pth', '--c', '0'], 'a number above 0'),
        (['x.pth', '--c', '-1'], 'a number above 0'),
        (['x.pth', '--c', 'nan'], 'a number above 0'),
        (['x.pth', '--batch-size', '0'], 'from 1 to'),
        (['x.pth', '--workers', '-1'], 'from 0 to'),
        (['x.pth', '--size', '0'], 'from 8 to'),
        (['x.pth', '--size', '1'], 'from 8 to'),
        (['x.pth', '--size', '1000000'], 'from 8 to'),
        (['x.pth', '--students', 'student=y.pth'], "--students has 'student' twice"),
        (['--students', 'teacher=y.pth', '--teacher'], "--students has 'teacher' twice"),
        (['--students', 'a|b=y.pth'], 'NAME=SOURCE'),
    ],
)
def test_bad_arguments_are_named(tool, arguments, message, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args([*arguments, '--data', 'folder'])
    assert message in capsys.readouterr().err


def test_a_table_among_the_class_folders_is_refused_before_all_work(tool, lgd_checkpoint, folders):
    with pytest.raises(ValueError, match='The table .* lies in the folder of images .*for example --out'):
        tool.main([str(lgd_checkpoint), '--data', str(folders), '--out', str(folders / 'train' / 'table')])
    assert not (folders / 'train' / 'table').exists()


def test_what_is_not_there_is_named(tool, run, lgd_checkpoint, folders, tmp_path):
    with pytest.raises(FileNotFoundError, match='Expected labelled pictures in .*train/CLASS'):
        run(lgd_checkpoint, '--data', tmp_path)
    with pytest.raises(FileNotFoundError, match='There is no checkpoint'):
        run(tmp_path / 'epoch_9.pth', '--data', folders)
    with pytest.raises(ValueError, match="'none' does not say of which backbone"):
        run('--students', 'random=none', '--data', folders)
    with pytest.raises(ValueError, match='fewer than 9'):
        run(lgd_checkpoint, '--data', folders, '--labels', '9')


def photos(root, sizes=((40, 60), (80, 50), (64, 64), (33, 90))):
    """Two classes of a few images, no two of one size."""
    for split in ('train', 'val'):
        for k, size in enumerate(sizes):
            file = root / split / 'ab'[k % 2] / f'{k}.png'
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_noise(size, 50).convert('RGB').save(file)
    return root


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


def test_each_student_sees_ordinary_photos_at_its_own_size(tool, sized_student, tiny_clip, tmp_path, monkeypatch):
    """Photos of different sizes do not stack, and students of two sizes are compared in one call."""
    shown, forward = {}, tool.FrozenModel.forward

    def spy(self, inputs):
        shown.setdefault(id(self), set()).add(tuple(inputs.shape[2:]))
        return forward(self, inputs)

    monkeypatch.setattr(tool.FrozenModel, 'forward', spy)
    models = {}
    load_models = tool.load_models
    monkeypatch.setattr(tool, 'load_models', lambda args: models.update(load_models(args)) or models)
    students = [f'small={sized_student(32)}', f'large={sized_student(64)}', 'random=none']
    arguments = ['--data', str(photos(tmp_path / 'photos')), '--labels', '1', '--seeds', '0', '--workers', '0']
    arguments += ['--students', *students, '--k', '2', '--out', str(tmp_path / 'out')]
    report = tool.main([*arguments, '--teacher', '--teacher-options', f'model={tiny_clip}'])
    assert {name: shown[id(model)] for name, model in models.items()} == {
        **dict(small={(32, 32)}, large={(64, 64)}, random={(32, 32)}, teacher={(32, 32)})
    }
    assert report['pipelines']['large'][2]['crop_size'] == (64, 64)
    shown.clear()
    tool.main([*arguments, '--size', '48'])
    assert set().union(*shown.values()) == {(48, 48)}


@pytest.mark.parametrize(
    'lists, message',
    [
        (dict(train=''), 'train.txt is empty'),
        (dict(train='a/0.png 0\na/2.png\n'), "Line 2 of .*train.txt is 'a/2.png'; expected is `file label`"),
        (dict(train='a/0.png 0\n\nb/1.png 1\n'), "Line 2 of .*train.txt is ''"),
        (dict(train='a/0.png -1\nb/1.png 1\n'), 'Line 1 .*a whole number from 0'),
        (dict(train='a/0.png 0\nb/1.png 1.0\n'), 'Line 2 .*a whole number from 0'),
        (dict(train='a/0.png 0\nb/1.png 99999999999999999999\n'), 'Line 2 .*a whole number from 0'),
        (dict(train='a/0.png 0\nb/1.png 999999999\n'), 'of 2 classes, and none is of class 1'),
        (dict(train='a/0.png 0\nb/1.png 2\n'), 'of 2 classes, and none is of class 1'),
        (dict(train='a/0.png 1\nb/1.png 2\n'), 'of 2 classes, and none is of class 0'),
        (dict(train='a/0.png 0\na/2.png 0\n', val='a/0.png 0\n'), 'of 1 classes, and none is of class 1'),
        (dict(val='a/0.png 7\n'), 'of 2 classes, and none is of class 2'),
        (dict(val=''), 'val.txt is empty'),
        (dict(train='a/0.png 0\nb/1.png 1\n./a/0.png 0\n'), "'a/0.png' twice, in lines 1 and 3"),
        (dict(train='a/0.png 0\nb/1.png 1\nb/9.png 1\n'), '1 of the 3 pictures .* the first is .b/9.png. .line 3'),
        (dict(train='../val/a/0.png 0\nb/1.png 1\n'), "names '../val/a/0.png', which is not in"),
        (dict(train='a/0.png 0\nb/1.png 1\n', k='3'), '--k 3 nearest neighbours are more than the 2 training'),
        (dict(train='a/0.png 0\nb/1.png 1\n', labels='2'), '--labels 2: The class 0 has 1 pictures, fewer than 2'),
        (dict(train=b'a/\xff.png 0\n'), 'train.txt is not UTF-8'),
        (dict(train='\ufeffa/0.png 0\nb/1.png 1\n'), 'begins with a byte order mark'),
    ],
)
def test_odd_lists_are_named_before_the_work(tool, lgd_checkpoint, tmp_path, monkeypatch, lists, message):
    data = photos(tmp_path / 'photos', sizes=((64, 64),) * 4)
    monkeypatch.setattr(tool, 'extract', lambda *_: pytest.fail('it has begun to work'))
    options = {'labels': '1', 'k': '2', **lists}
    whole = 'a/0.png 0\nb/1.png 1\na/2.png 0\nb/3.png 1\n'
    for split in ('train', 'val'):
        text = options.get(split, whole)
        (data / f'{split}.txt').write_bytes(text if isinstance(text, bytes) else text.encode())
    arguments = [lgd_checkpoint, '--data', data, '--labels', options['labels'], '--k', options['k'], '--workers', '0']
    with pytest.raises(MMLGDError, match=message):
        tool.main([*map(str, arguments), '--out', str(tmp_path / 'out')])


def test_lists_are_read_as_mmengine_reads_them_and_once_for_all_sizes(tool, tmp_path, monkeypatch):
    data = photos(tmp_path / 'photos', sizes=((64, 64),) * 4)
    name = 'a/x\u2028\x85.png'  # these end a line elsewhere
    shutil.copy(data / 'train/a/0.png', data / 'train' / name)
    (data / 'train.txt').write_text(f'{name} 0\r\nb/1.png 1\n')
    train = tool.load_split(data, 'train', tool.sized(32))
    assert train.files == [name, 'b/1.png']
    monkeypatch.setattr(tool, 'load_split', lambda *_: pytest.fail('it was read again'))
    arguments = argparse.Namespace(batch_size=2, workers=0)
    for size in (32, 48):
        (batch,) = tool.loader(arguments, train, tool.pipeline_of(None, tool.sized(size)))
        assert batch['inputs'].shape == (2, 3, size, size)
    assert train.dataset.pipeline.transforms[1].crop_size == (32, 32)


def test_odd_folders_are_named_before_the_work(tool, lgd_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, 'extract', lambda *_: pytest.fail('it has begun to work'))
    data = photos(tmp_path / 'photos')
    arguments = [str(lgd_checkpoint), '--data', str(data), '--k', '1', '--labels', '1', '--out']
    for split in ('train', 'val'):
        (data / split / 'c').mkdir()
    with pytest.raises(MMLGDError, match="of 2 classes, and none is of class 'c'"):
        tool.main([*arguments, str(tmp_path / 'out')])
    for file in (data / 'train').rglob('*.png'):
        file.unlink()
    with pytest.raises(MMLGDError, match='No file in .*train or its sub-folders ends with'):
        tool.main([*arguments, str(tmp_path / 'out')])
    shutil.rmtree(data / 'train')
    (data / 'train').mkdir()
    with pytest.raises(MMLGDError, match='train has no class folders, and there is no .*train.txt'):
        tool.main([*arguments, str(tmp_path / 'out')])
    (tmp_path / 'file').touch()
    for out in ('/proc/there/is/none', tmp_path / 'file', tmp_path / 'file/deeper'):
        monkeypatch.setattr(tool, 'load_models', lambda *_: pytest.fail('it has begun to load'))
        with pytest.raises(WriteError, match='Cannot write'):
            tool.main([*arguments, str(out)])
    with pytest.raises(MMLGDError, match="no config at 'none.py', which --backbone names"):
        monkeypatch.undo()
        tool.main([*arguments, str(tmp_path / 'out'), '--backbone', 'none.py'])


def test_a_path_that_is_no_utf_8_is_written(tool, lgd_checkpoint, tmp_path):
    data = photos(Path(os.fsdecode(os.fsencode(tmp_path) + b'/\xff')), sizes=((64, 64),) * 2)
    arguments = ['--data', str(data), '--k', '1', '--labels', '1', '--seeds', '0', '--workers', '0', '--size', '32']
    tool.main([str(lgd_checkpoint), *arguments, '--out', str(tmp_path / 'out')])
    assert json.loads((tmp_path / 'out/table.json').read_text())['data'] == str(data)


def test_c_is_chosen_for_each_probe_or_given(run, lgd_checkpoint, world):
    arguments = [lgd_checkpoint, '--data', world / 'objects', '--labels', '1', '100%', '--seeds', '0']
    chosen = run(*arguments)[0]['results']['student']['c']
    assert chosen['1'] == {'0': DEFAULT_C} and chosen['100%']['0'] in CS
    given, _ = run(*arguments, '--c', '0.3')
    assert given['c'] == 0.3 and given['results']['student']['c'] == {'1': {'0': 0.3}, '100%': {'0': 0.3}}
