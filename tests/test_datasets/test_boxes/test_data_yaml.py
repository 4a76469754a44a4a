"""A data.yaml is anyone's: what it has is a text, or named in an error, in little time and memory."""

from pathlib import PurePath

import pytest

from mmlgd.datasets.boxes.data_yaml import DataYaml
from mmlgd.datasets.boxes.places import BoxesError

# A few bytes for 4^30 values.
MANY = 'a0: &a0 [x]\n' + ''.join(f'a{k + 1}: &a{k + 1} [*a{k}, *a{k}, *a{k}, *a{k}]\n' for k in range(30))


@pytest.mark.parametrize(
    'text, said',
    [
        (f'{MANY}names: *a30', r'has names=.*is no text'),
        (f'{MANY}names: [cat]\nkpt_shape: *a30', r'has kpt_shape=.*Expected \[keypoints, 2 or 3\]'),
        (f'{MANY}names: [cat]\ntrain: *a30', 'has its train part at .*no such folder'),
        (f'{MANY}names: [cat]\ntrain: images\npath: *a30', 'has its train part at .images.*no such folder'),
        ('names: [!!timestamp 2020-99-99]', 'is no YAML: month must be'),
        (f'names: [cat]\nnc: {"9" * 5000}', 'has nc=9'),
        (f'names: [cat]\nkpt_shape: [{"9" * 5000}, 3]', 'has kpt_shape='),
        ('names: [cat, ~]', r"has names=\['cat', None\], where None is no text"),
        (f'names: {"[" * 3000}', 'is no YAML'),
        ('names: {0: cat, 1: dog, 1: bird}', 'is no YAML: 1 is there twice'),
        ('nc: 3\nnames: [cat, dog]', r'has nc=3, and 2 names \(cat, dog\)'),
        ('nc: 1\nnames: {0: cat, 1: dog}', r'has nc=1, and 2 names'),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, text, said):
    (tmp_path / 'data.yaml').write_text(text)
    with pytest.raises(BoxesError, match=said) as told:
        settings = DataYaml(tmp_path)
        settings.names()
        settings.keypoints()
        settings.parts([])
    assert len(str(told.value)) < 1000


def test_names_and_folders_are_read_as_they_are_written(tmp_path):
    """YAML itself makes 8 of 010, 90 of 1:30, False of no, and a date of the folder."""
    shared = 'both: &both {train: 2012-01-02, val: 1}\n<<: *both\n'
    (tmp_path / 'data.yaml').write_text(f'{shared}names: [010, 1:30, no, 2.50]\nval: 007\ntest: ~\nnc: 4')
    settings, images = DataYaml(tmp_path), [PurePath('2012-01-02/a.jpg'), PurePath('007/b.jpg')]
    assert settings.names() == ['010', '1:30', 'no', '2.50']
    assert settings.parts(images) == dict(train=images[:1], val=images[1:])


def test_a_key_that_replaces_a_merged_one_is_there_once(tmp_path):
    (tmp_path / 'data.yaml').write_text(
        'base: &base {train: a}\nmine: &mine {<<: *base, train: b}\n<<: *mine\nnames: [x]'
    )
    image = PurePath('b/1.jpg')
    assert DataYaml(tmp_path).parts([image]) == dict(train=[image])


@pytest.mark.parametrize('text', ['names: [cat, 7]', 'nc: 2\nnames: {0: cat, 1: 7}', 'nc: two\nnames: [cat, 7]'])
def test_names_in_the_order_of_the_labels(tmp_path, text):
    (tmp_path / 'data.yaml').write_text(text)
    assert DataYaml(tmp_path).names() == ['cat', '7']
