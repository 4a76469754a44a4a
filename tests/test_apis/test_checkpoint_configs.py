"""The config inside a checkpoint is data: nothing in it is executed, and it builds registered classes alone."""

import copy

import pytest
import torch

import mmlgd
from mmlgd.apis import CheckpointError, get_student, get_zero_shot_classifier, model_config
from mmlgd.apis.checkpoint_configs import buildable
from mmlgd.evaluation import load_frozen


def config_of(text):
    return model_config(dict(meta=dict(cfg=text)))


@pytest.mark.parametrize(
    'text',
    [
        'import os\nmodel = dict(backbone=dict())',
        'from os import system\nmodel = {}',
        'model = __import__("os").mkdir("MARK")',
        'model = dict(type=open("MARK", "w"))',
        'model = [x for x in ().__class__.__base__.__subclasses__()]',
        'model = dict(**{"a": __import__("os").mkdir("MARK")})',
        "model = f\"{__import__('os').mkdir('MARK')}\"",
        'exec("import os; os.mkdir(\'MARK\')")\nmodel = {}',
        'def f(): pass\nmodel = {}',
        'model = (lambda: 1)()',
        'model = dict(1)',
        'model.backbone = {}',
        'a = b = 1\nmodel = {}',
        'if True: model = {}',
        '_base_ = ["/etc/passwd"]\nmodel = dict(backbone=[])',
        'model = ' + '[' * 300 + ']' * 300,
        'model = ' + '-' * 100000 + '1',
        'model = 1',
        'model = None',
        'model = dict(backbone="resnet")',
        'default_scope = "os"\nmodel = {}',
        'default_scope = 5\nmodel = {}',
        'model = \0',
        'model = {[]: 1}',
        'model = {1: 2, None: 3, **{}}',
    ],
)
def test_text_that_is_more_than_settings_is_refused(text, tmp_path):
    with pytest.raises(CheckpointError):
        config_of(text.replace('MARK', str(tmp_path / 'executed')))
    assert not (tmp_path / 'executed').exists()


def test_plain_settings_are_read():
    text = 'lr = -1e-3\nmodel = dict(backbone=dict(type="ResNet", out_indices=(3, ), a=[1, None, True]), neck={"b": 2})'
    assert config_of(text).model.backbone == dict(type='ResNet', out_indices=(3,), a=[1, None, True])
    assert config_of('_scope_ = "mmdet"\nmodel = dict()').model == {}


@pytest.mark.parametrize(
    'settings',
    [
        dict(type='mmpretrain.ResNet', depth=18),
        dict(type='ResNet', norm_cfg=dict(type='SyncBN'), init_cfg=[dict(type='Kaiming', layer=['Conv2d'])]),
        dict(type='mmpretrain.models.backbones.resnet.ResNet', act_cfg=dict(type='torch.nn.modules.activation.ReLU')),
        dict(type='mmpretrain.models.ResNet'),  # as a lazy config is written
        dict(type='mmlgd.OpenCLIPTeacher', model='local-dir:/x'),
        [dict(type='LoadImageFromFile'), dict(type='torchvision/ConvertImageDtype', dtype='float32')],
    ],
)
def test_what_training_leaves_is_buildable(settings):
    assert buildable(copy.deepcopy(settings)) == settings


ATTACKS = dict(
    function=dict(type='os.mkdir', path='MARK'),
    process=dict(type='subprocess.Popen', args=['mkdir', 'MARK']),
    nested=dict(type='mmpretrain.ResNet', depth=18, norm_cfg=dict(type='os.mkdir', path='MARK')),
    deep=dict(type='mmpretrain.ResNet', depth=18, a=[(dict(b=dict(type='builtins.exec')),)]),
    of_a_library=dict(type='mmengine.load', file='/tmp/x.pkl'),
    of_mmpretrain=dict(type='mmpretrain.get_model', model='x'),
    a_module=dict(type='antigravity'),
    a_scope=dict(type='ResNet', depth=18, _scope_='antigravity'),
    remote_code=dict(type='mmpretrain.AutoModelForCausalLM', name_or_path='x', trust_remote_code=True),
    unpickles=dict(type='mmpretrain.RAM', tag_list='x'),
    a_pickle=dict(type='mmpretrain.ResNet', depth=18, file='x.PKL'),
    a_script=dict(type='mmlgd.ConSETeacher', classifier='mmpretrain:evil.py'),
    evaluated=dict(type='torchvision/ConvertImageDtype', dtype='float if __import__("os").mkdir("MARK") else float'),
    no_name=dict(type=5),
)


@pytest.mark.parametrize('attack', ATTACKS)
def test_nothing_else_is_built(attack):
    with pytest.raises(CheckpointError, match=r'no class that|would run code|has the scope'):
        buildable(ATTACKS[attack], 'a.pth')


@pytest.fixture
def with_config(lgd_checkpoint, tmp_path):
    """A checkpoint whose config says something else; an attack makes a folder."""

    def write(change):
        content = torch.load(lgd_checkpoint, weights_only=True)
        settings = dict(default_scope='mmpretrain', model=dict(model_config(content).model))
        change(settings, str(tmp_path / 'executed'))
        content['meta']['cfg'] = '\n'.join(f'{key} = {value!r}' for key, value in settings.items())
        torch.save(content, tmp_path / 'a.pth')
        return str(tmp_path / 'a.pth')

    yield write
    assert not (tmp_path / 'executed').exists()


def _set(part, value):
    def change(settings, mark):
        settings['model'][part] = value(mark)

    return change


def _pipeline(settings, mark):
    dtype = f'float32 if __import__("os").mkdir({mark!r}) else torch.float32'
    transforms = [dict(type='torchvision/ConvertImageDtype', dtype=dtype)]
    settings['test_dataloader'] = dict(dataset=dict(pipeline=transforms))


def _call(mark):
    return dict(type='os.mkdir', path=mark)


@pytest.mark.parametrize('load', [get_student, get_zero_shot_classifier, mmlgd.ZeroShotInferencer, load_frozen])
@pytest.mark.parametrize('part', ['backbone', 'neck', 'data_preprocessor'])
def test_a_checkpoint_calls_no_function_of_its_choice(load, part, with_config):
    if load is get_student and part != 'backbone':
        pytest.skip('it builds the backbone alone')
    with pytest.raises(CheckpointError, match=r'os\.mkdir.*not called'):
        load(with_config(_set(part, _call)))


@pytest.mark.parametrize('load', [get_zero_shot_classifier, mmlgd.ZeroShotInferencer, load_frozen])
def test_nor_to_augment(load, with_config):
    pixels = dict(type='mmlgd.PretrainDataPreprocessor', mean=[0.0] * 3, std=[1.0] * 3, to_rgb=True)
    with pytest.raises(CheckpointError, match=r'os\.mkdir.*not called'):
        load(with_config(_set('data_preprocessor', lambda mark: dict(pixels, augmentation=_call(mark)))))


def test_nor_for_new_names_or_for_pictures(with_config):
    with pytest.raises(CheckpointError, match=r'os\.mkdir'):
        get_zero_shot_classifier(with_config(_set('teacher', _call)), ['cat', 'dog'])
    with pytest.raises(CheckpointError, match='would run code'):
        mmlgd.ZeroShotInferencer(with_config(_pipeline))
