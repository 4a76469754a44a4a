"""Configs are found by path and by package, and one that does not fit its bases is explained."""

import pytest

from mmlgd.errors import ConfigError, MissingFileError
from mmlgd.utils.config_files import read_config
from mmlgd.utils.paths import RECIPE_HEAD, place_of

BASE = place_of('configs') / 'lgd/lgd_resnet18_1xb256-coslr-200e_images.py'


@pytest.fixture
def write(tmp_path):
    def write(text, base=BASE, name='pretrain.py'):
        (tmp_path / name).write_text(text.format(base=str(base)))
        return tmp_path / name

    return write


# What `mmlgd pretrain` wrote before variables of the bases were renamed, and before a base was.
OLD = (
    'model = dict(teacher=dict(compile=_base_.compiled))\n',
    'train_pipeline = _base_.train_pipeline\ntrain_pipeline[2].size = 64\n',
)


@pytest.mark.parametrize('line', OLD)
def test_a_recipe_of_an_earlier_version_says_so(write, line):
    file = write(f'{RECIPE_HEAD}_base_ = {{base!r}}\n{line}')
    with pytest.raises(ConfigError, match='earlier version of mmlgd.*`mmlgd pretrain ...` with --overwrite') as found:
        read_config(file)
    assert str(file) in str(found.value)
    mine = write('_base_ = {base!r}\n', file, 'mine.py')
    with pytest.raises(ConfigError, match=f"{mine}' cannot be read.*earlier version"):
        read_config(mine)


def test_a_base_that_is_gone_is_named(write):
    file = write(RECIPE_HEAD + '_base_ = {base!r}\n', BASE.with_name('lgd_resnet18_1xb256-coslr-200e_pictures.py'))
    with pytest.raises(ConfigError, match='200e_pictures.py.*earlier version'):
        read_config(file)


def test_a_config_of_the_user_is_told_where_it_failed(write):
    file = write('_base_ = {base!r}\nmodel = dict(neck=_base_.nek)\n')
    with pytest.raises(ConfigError, match=rf"no attribute 'nek' \({file}, line 2\).*_base_"):
        read_config(file)


def test_there_is_no_such_config(tmp_path):
    with pytest.raises(MissingFileError, match='no config'):
        read_config(tmp_path / 'no.py')
    with pytest.raises(MissingFileError, match="'nowhere' is not installed"):
        read_config('nowhere::a.py')
