"""The labelled images of an evaluation: which they are, what is refused, and the draws of labels."""

import shutil

import pytest
from mmengine.registry import DefaultScope

from mmlgd.datasets import label_subset
from mmlgd.demo import DEMO_CLASSES
from mmlgd.errors import MMLGDError
from mmlgd.evaluation.lineup import reader
from mmlgd.evaluation.splits import check_classes, drawn, load_split, order_of
from mmlgd.student.image_size import reading_pipeline, resized


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def test_labels_are_those_of_label_subset(folders):
    train = load_split(folders, 'train', [])
    assert train.folders == sorted(DEMO_CLASSES)
    for labels, how in (('2', dict(per_class=2)), ('50%', dict(percent=50))):
        lines = label_subset.draw(folders / 'train', seed=3, **how)
        chosen = drawn(train, labels, seed=3)
        assert [f'{train.files[i]} {train.labels[i]}' for i in chosen] == lines
    listed = drawn(load_split(folders, 'val', []), '100%', seed=0)
    assert sorted(listed) == list(range(20))
    with pytest.raises(MMLGDError, match='--labels 9: .*fewer than 9'):
        drawn(train, '9', seed=0)


def test_a_split_has_any_name_and_a_missing_one_is_answered_with_those_that_are_there(folders, tmp_path):
    shutil.copytree(folders / 'val', tmp_path / 'validation')
    assert load_split(tmp_path, 'validation', []).files == load_split(folders, 'val', []).files
    assert load_split(folders, str(tmp_path / 'validation'), []).folders == sorted(DEMO_CLASSES)
    with pytest.raises(MMLGDError, match='no such folder. Folders in .*: validation. .* --train and --val'):
        load_split(tmp_path, 'val', [])


def test_the_order_and_the_number_of_names(folders):
    train, val = (load_split(folders, split, []) for split in ('train', 'val'))
    check_classes(train, val)
    names = [f'{name.title()}|thing {name}' for name in DEMO_CLASSES]
    order, note = order_of(names, True, train, val)
    assert [DEMO_CLASSES[k] for k in order] == val.folders and not note
    with pytest.raises(
        MMLGDError, match='has 10 classes, but the vocabulary has 2 names. Give one name for each class'
    ):
        order_of(['cat', 'dog'], True, train, val)
    order, note = order_of(['cat', 'dog'], False, train, val)
    assert order is None and '2 names (the names of training)' in note


@pytest.mark.parametrize(
    'lists, message',
    [
        (dict(train=''), 'train.txt is empty'),
        (dict(train='a/0.png 0\na/2.png\n'), "Line 2 of .*train.txt is 'a/2.png'; expected `file label`"),
        (dict(train='a/0.png 0\n\nb/1.png 1\n'), "Line 2 of .*train.txt is ''"),
        (dict(train='a/0.png -1\nb/1.png 1\n'), 'Line 1 .*whole number from 0'),
        (dict(train='a/0.png 0\nb/1.png 1.0\n'), 'Line 2 .*whole number from 0'),
        (dict(train='a/0.png 0\nb/1.png 99999999999999999999\n'), 'Line 2 .*whole number from 0'),
        (dict(train='a/0.png 0\nb/1.png 999999999\n'), '2 classes, but none is of class 1'),
        (dict(train='a/0.png 0\nb/1.png 2\n'), '2 classes, but none is of class 1'),
        (dict(train='a/0.png 1\nb/1.png 2\n'), '2 classes, but none is of class 0'),
        (dict(train='a/0.png 0\na/2.png 0\n', val='a/0.png 0\n'), '1 classes, but none is of class 1'),
        (dict(val='a/0.png 7\n'), '2 classes, but none is of class 2'),
        (dict(val=''), 'val.txt is empty'),
        (dict(train='a/0.png 0\nb/1.png 1\n./a/0.png 0\n'), "'a/0.png' twice, in lines 1 and 3"),
        (dict(train='a/0.png 0\nb/1.png 1\nb/9.png 1\n'), '1 of the 3 images .* the first is .b/9.png. .line 3'),
        (dict(train='../val/a/0.png 0\nb/1.png 1\n'), "names '../val/a/0.png', which is not in"),
        (dict(train='a/0.png 0\nb/1.png 1\n', labels='2'), '--labels 2: The class 0 has 1 images, fewer than 2'),
        (dict(train=b'a/\xff.png 0\n'), 'train.txt is not UTF-8'),
        (dict(train='\ufeffa/0.png 0\nb/1.png 1\n'), 'begins with a byte order mark'),
    ],
)
def test_odd_lists_are_named(photos, lists, message):
    data = photos(sizes=((64, 64),) * 4)
    options = {'labels': '1', **lists}
    whole = 'a/0.png 0\nb/1.png 1\na/2.png 0\nb/3.png 1\n'
    for split in ('train', 'val'):
        text = options.get(split, whole)
        (data / f'{split}.txt').write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MMLGDError, match=message):
        train, val = (load_split(data, split, []) for split in ('train', 'val'))
        check_classes(train, val)
        drawn(train, options['labels'], seed=0)


@pytest.mark.parametrize('line', ['../../secret.png 0', '/etc/passwd 0', 'a/../../../x.png 1'])
def test_a_list_names_images_of_its_folder(line, tmp_path):
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train.txt').write_text(line)
    with pytest.raises(MMLGDError, match='which is not in'):
        load_split(tmp_path, 'train', [])


def test_lists_are_read_as_mmengine_reads_them_and_once_for_all_sizes(photos):
    data = photos(sizes=((64, 64),) * 4)
    name = 'a/x\u2028\x85.png'  # these end a line elsewhere
    shutil.copy(data / 'train/a/0.png', data / 'train' / name)
    (data / 'train.txt').write_text(f'{name} 0\r\nb/1.png 1\n')
    train = load_split(data, 'train', resized((32, 32)))
    assert train.files == [name, 'b/1.png']
    (data / 'train.txt').unlink()  # and not read again
    for size in (32, 48):
        (batch,) = reader(train, reading_pipeline(None, resized((size, size))), batch_size=2, workers=0)
        assert batch['inputs'].shape == (2, 3, size, size)
    assert train.dataset.pipeline.transforms[1].crop_size == (32, 32)


def test_odd_folders_are_named(photos, tmp_path):
    data = photos()
    for split in ('train', 'val'):
        (data / split / 'c').mkdir()
    with pytest.raises(MMLGDError, match="2 classes, but none is of class 'c'"):
        check_classes(*(load_split(data, split, []) for split in ('train', 'val')))
    for file in (data / 'train').rglob('*.png'):
        file.unlink()
    with pytest.raises(MMLGDError, match='No file in .*train or its sub-folders ends with'):
        load_split(data, 'train', [])
    shutil.rmtree(data / 'train')
    (data / 'train').mkdir()
    with pytest.raises(MMLGDError, match='train has no class folders, and there is no .*train.txt'):
        load_split(data, 'train', [])
    with pytest.raises(FileNotFoundError, match='Expected labelled images in .*train/CLASS'):
        load_split(tmp_path, 'train', [])


def test_labels_of_a_list_and_of_class_folders_do_not_mix(photos):
    data = photos()
    (data / 'train.txt').write_text('a/0.png 0\nb/1.png 1\n')
    with pytest.raises(MMLGDError, match='a list of labels, train.txt or val.txt, for one of its parts'):
        check_classes(*(load_split(data, split, []) for split in ('train', 'val')))
