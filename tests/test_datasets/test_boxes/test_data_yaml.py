"""A data.yaml is anyone's: what it has is a text, or named in an error, in little time and memory."""

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
        ('names: [2020-99-99]', 'is no YAML: month must be'),
        (f'names: [{"9" * 5000}]', 'is no YAML'),
        (f'names: {"[" * 3000}', 'is no YAML'),
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


@pytest.mark.parametrize('text', ['names: [cat, 7]', 'nc: 2\nnames: {0: cat, 1: 7}', 'nc: two\nnames: [cat, 7]'])
def test_names_in_the_order_of_the_labels(tmp_path, text):
    (tmp_path / 'data.yaml').write_text(text)
    assert DataYaml(tmp_path).names() == ['cat', '7']
