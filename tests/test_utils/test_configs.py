"""One reader of configs: what it takes, and what it says of configs that cannot be read."""

import pytest
from mmengine.config import Config

import mmlgd
from mmlgd.errors import ConfigError, MissingFileError, MissingPackageError
from mmlgd.utils.configs import merge_options, read_config
from mmlgd.utils.paths import RECIPE_HEAD, place_of

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


def test_what_does_not_fit_the_bases_is_said_in_plain_words(tmp_path):
    (tmp_path / 'a.py').write_text(MODEL + "names = 'a.txt'\nother = 1\n")
    (tmp_path / 'b.py').write_text('other = 2\n')
    (tmp_path / 'two.py').write_text("_base_ = ['a.py', 'b.py']\n")
    with pytest.raises(
        ConfigError, match="two.py cannot .* more than one file of its _base_ sets 'other', .* below it"
    ):
        read_config(tmp_path / 'two.py')
    (tmp_path / 'dict.py').write_text("_base_ = 'a.py'\nnames = dict(union=['x', 'y'])\n")
    with pytest.raises(ConfigError, match=r'dict.py cannot .* its names is a dict.* names=dict\(_delete_=True'):
        read_config(tmp_path / 'dict.py')


def test_a_deletion_of_what_the_base_does_not_have_leaves_no_trace(tmp_path):
    (tmp_path / 'a.py').write_text(MODEL)
    (tmp_path / 'b.py').write_text(
        "_base_ = 'a.py'\nmodel = dict(queue=dict(_delete_=True, size=1, terms=[dict(_delete_=True)]))\n"
    )
    assert read_config(tmp_path / 'b.py').model.queue == dict(size=1, terms=[{}])


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
    with pytest.raises(ConfigError, match=f'{file}, line 3, cannot be read.*earlier version'):
        read_config(mine)


def test_a_base_that_is_gone_is_named(write):
    file = write(RECIPE_HEAD + '_base_ = {base!r}\n', BASE.with_name('lgd_resnet18_1xb256-coslr-200e_pictures.py'))
    with pytest.raises(ConfigError, match='200e_pictures.py.*earlier version'):
        read_config(file)


def test_a_checkpoint_is_no_config(tmp_path):
    (tmp_path / 'epoch_10.pth').touch()
    with pytest.raises(ConfigError, match='epoch_10.pth.* is no config: .*ends with .py.*--student CHECKPOINT'):
        read_config(tmp_path / 'epoch_10.pth')


def test_a_config_of_the_user_is_told_where_it_failed(write):
    file = write('_base_ = {base!r}\nmodel = dict(neck=_base_.nek)\n')
    with pytest.raises(ConfigError, match=rf"{file}, line 2, .*no attribute 'nek'.*_base_"):
        read_config(file)


@pytest.mark.parametrize(
    'options, said',
    [
        (
            {'train_cfg.max_epochs': 'abc'},
            "train_cfg.max_epochs expects a number, as 5 in the config; got the text 'abc'",
        ),
        ({'hooks.0.interval': 'often'}, 'hooks.0.interval expects a number'),
        ({'amp': 'yes'}, "amp expects True or False; got the text 'yes'"),
        ({'hooks.7.interval': 1}, 'cannot be merged into the config'),
        ({'model': None}, 'model=None leaves no model'),
        (['amp=True'], 'cannot be merged into the config'),
    ],
)
def test_an_option_that_does_not_fit_is_refused(options, said):
    cfg = Config(dict(train_cfg=dict(max_epochs=5), hooks=[dict(interval=10)], amp=False))
    with pytest.raises(ConfigError, match=said):
        merge_options(cfg, options)


def test_options_that_fit_are_merged():
    cfg = Config(dict(train_cfg=dict(max_epochs=5), hooks=[dict(interval=10)], amp=False, name='a'))
    merge_options(
        cfg, {'train_cfg.max_epochs': None, 'hooks.0.interval': 2, 'amp': True, 'name': 7, 'randomness.seed': 3}
    )
    assert cfg.to_dict() == dict(
        train_cfg=dict(max_epochs=None), hooks=[dict(interval=2)], amp=True, name=7, randomness=dict(seed=3)
    )
    merge_options(cfg, None)


def test_words_that_stand_for_a_number_are_merged():
    """mmengine's loss scale may be dynamic, a guide's weight and compiling automatic."""
    cfg = Config(dict(optim_wrapper=dict(loss_scale=512.0), model=dict(compile=False, guide=dict(weight=0.5))))
    merge_options(cfg, {'optim_wrapper.loss_scale': 'dynamic', 'model.compile': 'auto', 'model.guide.weight': 'auto'})
    assert cfg.optim_wrapper.loss_scale == 'dynamic' and cfg.model.compile == cfg.model.guide.weight == 'auto'


@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_a_config_of_a_library_that_is_not_installed_says_which_extra(tmp_path, monkeypatch, library):
    monkeypatch.setattr('mmlgd.utils.configs.find_spec', lambda package: None)
    (tmp_path / 'a.py').write_text(f"{MODEL}default_scope = '{library}'\n")
    for config in (tmp_path / 'a.py', f'{library}::a.py'):
        with pytest.raises(MissingPackageError, match=rf'needs {library}, .*mmlgd\[openmmlab-dense\]'):
            read_config(config)
