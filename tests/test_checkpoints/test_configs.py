"""The config inside a checkpoint is data: nothing in it is executed, and it builds registered classes alone."""

import copy

import mmengine
import pytest
import torch
import yaml
from mmengine.fileio.handlers import file_handlers
from torch import nn

import mmlgd
from mmlgd.checkpoints import CheckpointError, model_config
from mmlgd.checkpoints.configs import buildable
from mmlgd.checkpoints.file_handlers import plain_files
from mmlgd.evaluation import load_frozen
from mmlgd.registry import MODELS
from mmlgd.student import get_student, get_zero_shot_classifier
from tests.malicious import Attack, write_pickle


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
def test_a_config_with_code_is_refused(text, tmp_path):
    with pytest.raises(CheckpointError):
        config_of(text.replace('MARK', str(tmp_path / 'executed')))
    assert not (tmp_path / 'executed').exists()


@pytest.mark.parametrize(
    'text, reason',
    [
        ('model = "' + 'a' * 1_000_000 + '"', '1,000,010 characters; up to 1,000,000'),
        ('model = ' + '[' * 60 + ']' * 60, 'deeper than 50'),
        ('model = ' + 'dict(a=' * 60 + '1' + ')' * 60, 'deeper than 50'),
        ('model = ' + '-' * 100_000 + '1', r'settings: \w+'),
        ('model = ' + '1 if 1 else ' * 10_000 + '1', r'settings: \w+'),
    ],
)
def test_a_config_too_long_or_too_deep_is_refused(text, reason):
    with pytest.raises(CheckpointError, match=reason):
        config_of(text)
    assert config_of('model = dict(a=' + '[' * 40 + ']' * 40 + ')').model


def test_plain_settings_are_read():
    text = 'lr = -1e-3\nmodel = dict(backbone=dict(type="ResNet", out_indices=(3, ), a=[1, None, True]), neck={"b": 2})'
    assert config_of(text).model.backbone == dict(type='ResNet', out_indices=(3,), a=[1, None, True])
    assert config_of('_scope_ = "mmdet"\nmodel = dict()').model == {}


@pytest.mark.parametrize(
    'part, settings',
    [
        ('backbone', dict(type='mmpretrain.ResNet', depth=18)),
        ('backbone', dict(type='ResNet', norm_cfg=dict(type='SyncBN'), plugins=[dict(cfg=dict(type='ContextBlock'))])),
        (
            'backbone',
            dict(
                type='mmpretrain.models.backbones.resnet.ResNet', act_cfg=dict(type='torch.nn.modules.activation.ReLU')
            ),
        ),
        ('backbone', dict(type='mmpretrain.models.ResNet')),  # as a lazy config is written
        ('backbone', dict(type='mmpretrain.MAEViT', arch='b')),
        ('backbone', None),
        ('loss', dict(type='mmlgd.LGDLoss', alpha=1.0)),
        ('loss', dict(type='mmlgd.CosineLoss')),
        ('loss', dict(type='mmlgd.DistillationLoss', terms=[dict(bank='queue'), dict(type='mmlgd.CosineTerm')])),
        ('model', dict(type='mmlgd.LGD', visual_bank=dict(type='mmlgd.QueueBank', size=8))),
        ('neck', dict(in_channels=64)),
        ('neck', dict(type='NonLinearNeck', norm_cfg=dict(type='BN1d'))),
        ('teacher', dict(type='mmlgd.OpenCLIPTeacher', model='local-dir:/x')),
        ('data_preprocessor', dict(type='SelfSupDataPreprocessor', mean=[1.0])),
        ('data_preprocessor', dict(mean=[1.0], batch_augments=dict(augments=[dict(type='Mixup', alpha=0.8)]))),
        ('transform', [dict(type='LoadImageFromFile'), dict(type='torchvision/ConvertImageDtype', dtype='float32')]),
        ('transform', [dict(type='RandomApply', transforms=[dict(type='ColorJitter')], prob=0.8)]),
        ('transform', [dict(type='Resize', scale=(64, 64)), dict(type='mmlgd.RandomResizedCrop', scale=(0.2, 1.0))]),
    ],
)
def test_settings_from_training_are_buildable(part, settings):
    before = copy.deepcopy(settings)
    assert buildable(settings, part) == before == settings


def test_the_model_of_training_is_buildable(lgd_model):
    assert buildable(lgd_model, 'model') == lgd_model


def test_sources_of_weights_and_images_are_left_out():
    weights = dict(type='Pretrained', checkpoint='http://host/x.pth')
    block = dict(type='ConvModule', init_cfg=weights)
    settings = dict(type='ResNet', init_cfg=weights, plugins=[dict(cfg=block)], pretrained='torchvision://resnet18')
    assert buildable(settings, 'backbone') == dict(type='ResNet', plugins=[dict(cfg=dict(type='ConvModule'))])
    timm = dict(type='mmpretrain.TIMMBackbone', model_name='resnet18.a1_in1k', checkpoint_path='x', pretrained=True)
    assert buildable(timm, 'backbone') == dict(type=timm['type'], model_name=timm['model_name'], pretrained=False)
    load = dict(type='LoadImageFromFile', backend_args=dict(backend='petrel'), color_type='color')
    assert buildable([load], 'transform') == [dict(type='LoadImageFromFile', color_type='color')]


@pytest.mark.parametrize('place', ['/anywhere', 'here', '~', None])
def test_the_cache_folder_of_a_checkpoint_is_ignored(place, lgd_model):
    cached = copy.deepcopy(lgd_model)
    for part in (cached, cached['teacher'], cached['text'], cached['backbone']):
        part['cache_dir'] = place
    assert buildable(cached, 'model') == lgd_model
    assert buildable(cached['teacher'], 'teacher') == lgd_model['teacher']


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


YAML = 'http://host/x.yaml'
# What the libraries register reads files, addresses and folders of its settings' choice: not where a part stands.
OF_PART = dict(
    head=(dict(type='mmpretrain.VQAGenerationHead', answer_list_path=YAML), 'backbone'),
    dataset=(dict(type='mmpretrain.BaseDataset', ann_file='x.json'), 'backbone'),
    loss_of_mmseg=(dict(type='mmseg.CrossEntropyLoss', class_weight='x.yaml'), 'loss'),
    term_of_mmseg=(dict(terms=[dict(type='mmseg.CrossEntropyLoss', class_weight='x.yaml')]), 'loss'),
    loss_in_a_backbone=(dict(type='ResNet', loss=dict(type='mmpretrain.CrossEntropyLoss')), 'backbone'),
    tracker=(dict(type='mmdet.StrongSORT', cmc=dict(type='CameraMotionCompensation', warp_mode='x')), 'backbone'),
    runner=(dict(type='mmengine.runner.runner.Runner', work_dir='MARK'), 'backbone'),
    runner_by_name=(dict(type='Runner', work_dir='MARK'), 'backbone'),
    runner_within=(
        dict(type='ResNet', norm_cfg=dict(type='mmengine.runner.runner.Runner', work_dir='MARK')),
        'backbone',
    ),
    hook=(dict(type='CheckpointHook', out_dir='MARK'), 'transform'),
    dataset_in_transforms=([dict(type='RandomApply', transforms=[dict(type='ImageNet', data_root='x')])], 'transform'),
    transform_as_backbone=(dict(type='LoadImageFromFile'), 'backbone'),
    backbone_as_transform=([dict(type='mmpretrain.ResNet', depth=18)], 'transform'),
    hugging_face=(dict(type='mmpretrain.HuggingFaceClassifier', model_name='x/y'), 'backbone'),
    timm_classifier=(dict(type='mmpretrain.TimmClassifier', model_name='x'), 'backbone'),
    timm_of_a_hub=(dict(type='mmpretrain.TIMMBackbone', model_name='hf-hub:x/y'), 'backbone'),
    timm_of_a_folder=(dict(type='mmpretrain.TIMMBackbone', model_name='local-dir:/x'), 'backbone'),
    timm_norm=(dict(type='mmpretrain.TIMMBackbone', model_name='resnet18', norm_layer='os._exit'), 'backbone'),
    timm_import=(dict(type='mmpretrain.TIMMBackbone', model_name='resnet18', norm_layer='antigravity'), 'backbone'),
    torch_script=(dict(type='mmpretrain.CLIPGenerator', tokenizer_path='x.pt'), 'backbone'),
    diffusion=(dict(type='mmseg.VPD', diffusion_cfg=dict(config='x.yaml', checkpoint='x.pth')), 'backbone'),
    diffusion_without_an_ending=(dict(type='mmseg.VPD', diffusion_cfg=dict(config='x')), 'backbone'),
    derived=(dict(type='mmpretrain.OFAEncoderDecoder', encoder_cfg={}), 'backbone'),
    a_file=(dict(type='ResNet', depth=18, arch='../x'), 'backbone'),
    an_address=(dict(type='ResNet', depth=18, arch=['http://host/x']), 'backbone'),
    yaml=(dict(type='mmlgd.ConSETeacher', classifier='x.yaml'), 'teacher'),
    teacher_of_another=(dict(type='mmpretrain.CLIPZeroShot', tokenizer='x'), 'teacher'),
    augmentation=(dict(augmentation=dict(type='mmpretrain.ResNet', depth=18)), 'data_preprocessor'),
    batch_augments=(dict(batch_augments=dict(augments=[dict(type='mmpretrain.RAM')])), 'data_preprocessor'),
    model_of_another=(dict(type='mmpretrain.MoCo', backbone={}), 'model'),
    within_the_model=(dict(type='mmlgd.LGD', loss=dict(type='mmseg.CrossEntropyLoss', class_weight=YAML)), 'model'),
)


@pytest.mark.parametrize('attack', [*ATTACKS, *OF_PART])
def test_other_types_are_refused(attack):
    with pytest.raises(CheckpointError, match=r'no installed library|would run code|has the scope'):
        buildable(*OF_PART.get(attack, (ATTACKS.get(attack), 'backbone')), 'a.pth')


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
@pytest.mark.parametrize('part', ['backbone', 'neck', 'data_preprocessor', 'loss'])
def test_a_checkpoint_calls_no_function_of_its_choice(load, part, with_config):
    if load is get_student and part != 'backbone':
        pytest.skip('it builds the backbone alone')
    with pytest.raises(CheckpointError, match=r'os\.mkdir.*not called'):
        load(with_config(_set(part, _call)))


@pytest.mark.parametrize('load', [get_zero_shot_classifier, mmlgd.ZeroShotInferencer, load_frozen])
def test_functions_in_an_augmentation_are_not_called(load, with_config):
    pixels = dict(type='mmlgd.PretrainDataPreprocessor', mean=[0.0] * 3, std=[1.0] * 3, to_rgb=True)
    with pytest.raises(CheckpointError, match=r'os\.mkdir.*not called'):
        load(with_config(_set('data_preprocessor', lambda mark: dict(pixels, augmentation=_call(mark)))))


def test_functions_in_a_teacher_or_pipeline_are_not_called(with_config):
    with pytest.raises(CheckpointError, match=r'os\.mkdir'):
        get_zero_shot_classifier(with_config(_set('teacher', _call)), ['cat', 'boat'])
    with pytest.raises(CheckpointError, match='would run code'):
        mmlgd.ZeroShotInferencer(with_config(_pipeline))


class OwnBackbone(nn.Module):
    """Of a user's own package, which the program has imported."""


class NoBackbone:
    pass


@pytest.fixture
def registered():
    for one in (OwnBackbone, NoBackbone):
        MODELS.register_module(module=one)
    yield
    for one in (OwnBackbone, NoBackbone):
        del MODELS.module_dict[one.__name__]


@pytest.mark.parametrize('name', ['mmlgd.OwnBackbone', f'{__name__}.OwnBackbone'])
def test_a_registered_user_module_is_buildable(name, registered):
    assert buildable(dict(type=name), 'backbone') == dict(type=name)
    assert buildable(dict(type='ResNet', norm_cfg=dict(type=name)), 'backbone')
    for part, other in (('transform', name), ('backbone', name.replace('Own', 'No'))):
        with pytest.raises(CheckpointError, match='no installed library'):
            buildable(dict(type=other), part)


def test_a_type_is_resolved_in_its_scope():
    """A class of one library does not count as another library's class of the same name."""
    pytest.importorskip('mmseg')
    with pytest.raises(CheckpointError, match='no installed library'):
        buildable(dict(type='ResNet', norm_cfg=dict(type='CrossEntropyLoss', _scope_='mmseg')), 'backbone')


YAML_CODE = '!!python/object/apply:os.mkdir [MARK]'


@pytest.mark.parametrize('name', ['a.yaml', 'a.yml', 'a.pkl', 'a.pickle'])
def test_yaml_and_pickles_run_no_code_during_a_build(name, tmp_path):
    file, mark = tmp_path / name, tmp_path / 'executed'
    file.write_text(YAML_CODE.replace('MARK', str(mark)))
    if 'p' in file.suffix:
        write_pickle(Attack(mark), file)
    before = dict(file_handlers)
    with plain_files(), pytest.raises((CheckpointError, yaml.YAMLError)):
        mmengine.load(file)
    assert not mark.exists() and file_handlers == before
    mmengine.dump(dict(a=1), tmp_path / 'plain.yaml')
    with plain_files():
        assert mmengine.load(tmp_path / 'plain.yaml') == dict(a=1)
    with pytest.raises(KeyError), plain_files(), plain_files():
        raise KeyError
    assert file_handlers == before


LARGE = dict(
    more_than_any_memory=dict(type='mmpretrain.ResNet', depth=18, base_channels=10**9),
    beyond_a_number=dict(type='mmpretrain.ResNet', depth=18, stem_channels=2**62),
    as_much_as_a_machine_has=dict(type='mmpretrain.ResNet', depth=18, base_channels=1024),
    wide=dict(
        type='mmpretrain.VisionTransformer',
        arch=dict(embed_dims=2**16, num_layers=1, num_heads=1, feedforward_channels=2**16),
    ),
    very_deep=dict(
        type='mmpretrain.VisionTransformer',
        arch=dict(embed_dims=256, num_layers=10**9, num_heads=1, feedforward_channels=256),
    ),
    deep=dict(
        type='mmpretrain.VisionTransformer',
        arch=dict(embed_dims=256, num_layers=10**5, num_heads=1, feedforward_channels=256),
    ),
    a_large_image=dict(type='mmpretrain.VisionTransformer', img_size=2**17, patch_size=2, arch='small'),
)


@pytest.mark.parametrize('load', [get_student, get_zero_shot_classifier])
@pytest.mark.parametrize('name', LARGE)
def test_layers_much_larger_than_the_weights_are_refused(load, name, with_config):
    file = with_config(_set('backbone', lambda mark: LARGE[name]))
    with pytest.raises(CheckpointError, match='layer'):
        load(file)


def test_a_neck_much_larger_than_its_weights_is_refused(with_config):
    file = with_config(_set('neck', lambda mark: dict(in_channels=2**20, hid_channels=2**14)))
    with pytest.raises(CheckpointError, match='layer'):
        get_zero_shot_classifier(file)


def test_the_count_of_number_keys_is_limited():
    """An author can choose numbers with colliding hashes: a dict of n such keys may take n * n steps."""
    for many in ({key: 0 for key in range(2**40, 2**40 + 1001)}, {key / 7 for key in range(1001)}):
        with pytest.raises(CheckpointError, match='more than 1000 keys'):
            model_config(dict(meta=dict(cfg=f'model=dict(backbone=dict(a={many!r}))')))
    names = {number: 'name' for number in range(5000)}
    assert model_config(dict(meta=dict(cfg=f'model=dict(backbone=dict(a={names!r}))'))).model.backbone.a == names
