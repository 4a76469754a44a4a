"""One reader of configs: what it takes, and what it says of configs that cannot be read."""

import pytest
from mmengine.config import Config

import mmlgd
from mmlgd.errors import ConfigError, MissingFileError, MissingPackageError
from mmlgd.utils.configs import read_config

MODEL = "model = dict(type='mmpretrain.ImageClassifier')\n"


def test_files_names_and_configs(tmp_path):
    (tmp_path / 'a.py').write_text(MODEL)
    assert read_config(tmp_path / 'a.py').model == read_config(str(tmp_path / 'a.py')).model
    named = read_config('mmlgd::lgd/lgd_resnet18_1xb256-coslr-200e_images.py')
    assert named.model.type == 'mmlgd.LGD'
    given = Config(dict(model=dict(type='A')))
    read = read_config(given)
    read.model.type = 'B'
    assert given.model.type == 'A'


@pytest.mark.parametrize(
    'text, error, message',
    [
        (MODEL + 'x = (1,\n', ConfigError, r'a.py, line 2, cannot be read.*SyntaxError'),
        (MODEL + '\nx = y + 1\n', ConfigError, "a.py, line 3, .*NameError: name 'y' is not defined"),
        (
            MODEL + "custom_imports = dict(imports='no_such_module')\n",
            MissingPackageError,
            'a.py cannot .*no_such_module',
        ),
        ("_base_ = 'base.py'\n", ConfigError, r'base.py, line 2, cannot be read'),
        ("_base_ = 'none.py'\n", ConfigError, 'none.py'),
        ('optimizer = 3\n', ConfigError, "has no model, .*'optimizer'"),
        ('model = 3\n', ConfigError, 'has model=3'),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, error, message):
    (tmp_path / 'a.py').write_text(text)
    (tmp_path / 'base.py').write_text(MODEL + 'x = (1,\n')
    uses = [
        read_config,
        mmlgd.get_student,
        mmlgd.train,
        lambda config: mmlgd.test(config, 'a.pth'),
        lambda config: mmlgd.store_teacher(config, out=tmp_path / 'store', views=1),
    ]
    for use in uses:
        with pytest.raises(error, match=message):
            use(tmp_path / 'a.py')
    assert not (tmp_path / 'store').exists()


def test_a_fault_of_a_base_in_new_style_is_said_as_well(tmp_path):
    (tmp_path / 'base.py').write_text(MODEL + 'x = y + 1\n')
    (tmp_path / 'a.py').write_text(
        'from mmengine.config import read_base\nwith read_base():\n    from .base import *\n'
    )
    with pytest.raises(ConfigError, match='base.py, line 2, .*NameError'):
        read_config(tmp_path / 'a.py')


def test_what_is_no_config_is_named(lgd_checkpoint):
    for use in (read_config, mmlgd.get_student, mmlgd.train):
        with pytest.raises(ConfigError, match=r'got a dict, .*model.*Config\(dict'):
            use(dict(model=3))
    with pytest.raises(MissingFileError, match='is not installed'):
        read_config('no_such_package::a.py')
    student = mmlgd.Student(lgd_checkpoint, device='cpu')
    with pytest.raises(ConfigError, match='got a Student'):
        mmlgd.get_student(student)
