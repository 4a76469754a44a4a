"""One argument sets what a downstream config starts from, and refuses what would not start it."""

import re
from urllib.error import URLError

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mmlgd.checkpoints import CheckpointError
from mmlgd.checkpoints.starts import check_pretrained, kept_random, start_from
from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS

SMALL = dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8)  # as in lgd_checkpoint


def config(**backbone):
    return Config(dict(model=dict(type='ImageClassifier', backbone={**SMALL, **backbone})))


@pytest.fixture
def weights():
    return MODELS.build(dict(SMALL)).state_dict()


def test_a_checkpoint_of_pretraining(lgd_checkpoint):
    cfg = config()
    start_from(cfg, str(lgd_checkpoint))
    assert cfg.model.backbone.pop('init_cfg') == dict(
        type='Pretrained', checkpoint=str(lgd_checkpoint), prefix='backbone.'
    )
    assert cfg.model.backbone == SMALL


def test_a_student_replaces_earlier_starts_of_the_config(lgd_checkpoint):
    cfg = config(pretrained='open-mmlab://resnet18_v1c', init_cfg=dict(type='Pretrained', checkpoint='old.pth'))
    cfg.model.pretrained = 'open-mmlab://resnet18_v1c'
    start_from(cfg, str(lgd_checkpoint))
    assert 'pretrained' not in cfg.model and 'pretrained' not in cfg.model.backbone
    assert cfg.model.backbone.init_cfg.checkpoint == str(lgd_checkpoint)


def test_a_random_start():
    old = dict(type='Pretrained', checkpoint='old.pth', prefix='backbone.')
    cfg = config(init_cfg=old)
    start_from(cfg)
    assert cfg.model.backbone.init_cfg == old  # nothing asked, nothing changed
    start_from(cfg, 'none')
    assert cfg.model.backbone == SMALL
    cfg = config(init_cfg=dict(type='Pretrained', checkpoint=None, prefix='backbone.'))
    start_from(cfg)
    assert cfg.model.backbone == SMALL
    start_from(Config(dict(model=dict(type='NoBackbone'))))


def test_weights_of_the_whole_model_beside_a_start_are_refused(lgd_checkpoint):
    inits = dict(type='Pretrained', checkpoint='coco.pth')
    for source in ('none', str(lgd_checkpoint)):
        for change, key in (
            (dict(load_from='coco.pth'), 'load_from=coco.pth'),
            ({'model.init_cfg': inits}, 'model.init_cfg='),
            ({'model.init_cfg': [dict(type='Normal'), inits]}, 'model.init_cfg='),
        ):
            cfg = config()
            cfg.merge_from_dict(change)
            with pytest.raises(ConfigError, match=f'--student {source} is the start of .* has {key}'):
                start_from(cfg, source)
    for change in (dict(load_from='epoch_1.pth', resume=True), {'model.init_cfg': dict(type='Normal')}):
        cfg = config()
        cfg.merge_from_dict(change)
        start_from(cfg, 'none')


@pytest.mark.parametrize(
    'settings, told',
    [
        (dict(frozen_stages=1, norm_eval=True), 'frozen_stages=1, norm_eval=True trains worse'),
        (dict(type='mmdet.ResNet'), 'norm_eval=True trains worse'),  # its default
        (dict(frozen_stages=-1, norm_eval=False), ''),
        ({}, ''),
    ],
)
def test_a_random_start_of_what_is_frozen_is_told(settings, told):
    pytest.importorskip('mmdet')
    found = kept_random(config(**settings))
    assert told in found and bool(told) == bool(found)


def test_a_bare_backbone(weights, tmp_path):
    path = str(tmp_path / 'backbone.pth')
    torch.save(weights, path)
    cfg = config()
    start_from(cfg, path)
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=path)


def test_a_name_of_torchvision(weights, monkeypatch):
    # As torchvision's file is: with a classifier, without counts of batches.
    theirs = {key: value for key, value in weights.items() if not key.endswith('num_batches_tracked')}
    theirs['fc.weight'] = theirs['fc.bias'] = torch.zeros(1)
    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', lambda name, map_location: theirs)
    cfg = config()
    start_from(cfg, 'torchvision://resnet18')
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint='torchvision://resnet18')
    theirs.pop('layer1.0.conv1.weight')
    with pytest.raises(CheckpointError, match=r'torchvision://resnet18 .*1 missing \(layer1.0.conv1.weight\)'):
        start_from(cfg, 'torchvision://resnet18')


def test_a_name_without_a_network(monkeypatch):
    def unreachable(name, map_location):
        raise URLError('no route')

    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', unreachable)
    with pytest.raises(ConnectionError, match='torchvision://resnet18: no route.*give its path'):
        start_from(config(), 'torchvision://resnet18')


def test_an_unknown_name_of_weights_is_refused():
    with pytest.raises(CheckpointError, match="no weights named 'torchvision://resnet19'.*Give a name as"):
        start_from(config(), 'torchvision://resnet19')


def test_unfit_starts_are_refused(lgd_checkpoint, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*epoch_9.pth'):
        start_from(config(), str(tmp_path / 'epoch_9.pth'))
    torch.save({'visual.conv1.weight': torch.zeros(1), 'token_embedding.weight': torch.zeros(1)}, tmp_path / 'clip.pth')
    with pytest.raises(CheckpointError, match=r'has no backbone\.\*.*CLIP teacher'):
        start_from(config(), str(tmp_path / 'clip.pth'))
    (tmp_path / 'cut.pth').write_bytes(lgd_checkpoint.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match='cut off'):
        start_from(config(), str(tmp_path / 'cut.pth'))
    with pytest.raises(CheckpointError, match=r'does not fit ResNet: .*conv1.weight \(8, .*instead of \(16, .*width'):
        start_from(config(base_channels=16, stem_channels=16), str(lgd_checkpoint))
    with pytest.raises(ValueError, match=r"no model.backbone .*its model has \['head', 'type'\]"):
        start_from(Config(dict(model=dict(type='Other', head={}))), str(lgd_checkpoint))


def test_a_class_of_nearly_the_same_name_is_refused_with_its_cure(tmp_path):
    pytest.importorskip('mmdet')
    pytest.importorskip('mmseg')
    student = dict(type='mmpretrain.MobileNetV2', widen_factor=0.1, out_indices=(7,))
    file = saved(student, tmp_path)
    for library in ('mmdet', 'mmseg'):
        cfg = Config(dict(model=dict(backbone=dict(type=f'{library}.MobileNetV2', widen_factor=0.1))))
        with pytest.raises(CheckpointError, match=f'mmlgd export {file} student.pth --to {library}'):
            start_from(cfg, file)
    file = saved(SMALL, tmp_path)
    cfg = Config(dict(model=dict(backbone={**SMALL, 'type': 'mmseg.ResNetV1c'})))
    with pytest.raises(CheckpointError, match=r'deeper stem .*model\.backbone\.type=ResNet'):
        start_from(cfg, file)
    cfg.model.backbone.type = 'mmseg.ResNet'
    start_from(cfg, file)


def test_a_student_that_a_config_names_has_to_fit(lgd_checkpoint, tmp_path, monkeypatch):
    """It may stand in any part, and the part may have more; weights of other origin may be meant to fit in part."""
    started = dict(type='Pretrained', checkpoint=str(lgd_checkpoint), prefix='backbone.')
    inner = Config(dict(model=dict(detector=dict(backbone=dict(SMALL, init_cfg=started)))))
    for cfg in (config(init_cfg=started), inner, config(init_cfg=[started])):
        start_from(cfg)
    inner.model.detector.backbone.base_channels = 16
    for cfg in (config(depth=34, deep_stem=True, init_cfg=started), inner):
        with pytest.raises(CheckpointError, match='does not fit ResNet'):
            start_from(cfg)
    told = []
    monkeypatch.setattr('mmlgd.checkpoints.starts.print_log', lambda text, *args: told.append(text))
    start_from(config(depth=34, init_cfg=started))
    assert len(told) == 1 and re.search(
        'no weights for 96 of 216 keys of the ResNet at model.backbone, .* layer1.2.conv1.weight', told[0]
    )
    stages = dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,))  # as C4 detectors have
    start_from(config(**stages, init_cfg=started))
    assert len(told) == 2 and 'stages that the ResNet at model.backbone has not, such as layer4.0.conv1' in told[1]
    with pytest.raises(CheckpointError, match=r'unexpected .*fewer stages.*in place of --student'):
        start_from(config(**stages), str(lgd_checkpoint))
    deep = dict(started, checkpoint=saved(dict(SMALL, depth=34), tmp_path))
    content = torch.load(deep['checkpoint'])
    torch.save(
        {**content, 'state_dict': {**content['state_dict'], 'textual_bank.bank': torch.ones(1)}}, deep['checkpoint']
    )
    with pytest.raises(CheckpointError, match=r'96 unexpected \(layer1.2'):  # layers inside of a stage
        start_from(config(init_cfg=deep))
    with pytest.raises(CheckpointError, match='config gives no prefix'):
        start_from(config(init_cfg=dict(type='Pretrained', checkpoint=str(lgd_checkpoint))))
    with pytest.raises(CheckpointError, match=r'has no spine\.\* weights'):
        start_from(config(init_cfg=dict(started, prefix='spine.')))


def test_a_student_may_be_named_as_the_start_of_a_whole_model(lgd_checkpoint):
    """mmengine loads its backbone then, and nothing else: neck and banks have no place there."""
    cfg = config()
    cfg.model.init_cfg = dict(type='Pretrained', checkpoint=str(lgd_checkpoint))
    start_from(cfg)
    cfg.model.backbone.base_channels = 16
    with pytest.raises(CheckpointError, match='does not fit ResNet'):
        start_from(cfg)


def test_a_backbone_of_more_layers_than_the_student_is_refused_with_its_cure(lgd_checkpoint):
    with pytest.raises(CheckpointError, match=r'96 missing .*deformable .*in place of --student.*prefix='):
        start_from(config(depth=34), str(lgd_checkpoint))
    started = dict(type='Pretrained', checkpoint=str(lgd_checkpoint), prefix='backbone.')
    with pytest.raises(CheckpointError, match='does not fit') as error:
        check_pretrained(MODELS.build(dict(SMALL, depth=34, init_cfg=started)))
    assert '--student' not in str(error.value)  # there is none


def test_weights_of_others_may_fit_in_part(tmp_path):
    file = saved(SMALL, tmp_path)
    start_from(config(base_channels=16, init_cfg=dict(type='Pretrained', checkpoint=file, prefix='backbone.')))


def test_a_backbone_that_cannot_be_built_is_named(lgd_checkpoint):
    with pytest.raises(ConfigError, match=r'model\.backbone cannot be built from these settings: .*dept'):
        start_from(config(dept=18), str(lgd_checkpoint))


def test_a_backbone_inside_of_a_detector_is_started_by_the_config(lgd_checkpoint, weights, tmp_path):
    cfg = Config(dict(model=dict(type='SoftTeacher', detector=dict(backbone=SMALL))))
    with pytest.raises(ConfigError, match=r'no model\.backbone .*model=dict\(detector=.*init_cfg=dict.*prefix='):
        start_from(cfg, str(lgd_checkpoint))
    with pytest.raises(ConfigError, match=r'backbone=dict\(init_cfg=None\)'):
        start_from(cfg, 'none')
    torch.save(weights, tmp_path / 'bare.pth')
    with pytest.raises(ConfigError, match=r"checkpoint='[^']*bare\.pth'\)\)"):  # no prefix
        start_from(cfg, str(tmp_path / 'bare.pth'))


@pytest.mark.parametrize('trained, other', [('pytorch', 'caffe'), ('caffe', 'pytorch')])
def test_a_stride_in_another_layer_is_refused(tmp_path, trained, other):
    """The weights fit, and give other features."""
    file = saved(dict(SMALL, depth=50, style=trained), tmp_path)
    with pytest.raises(ConfigError, match=f"style='{trained}', and this ResNet has style='{other}'"):
        start_from(config(depth=50, style=other), file)
    inner = dict(SMALL, depth=50, style=other, init_cfg=dict(type='Pretrained', checkpoint=file, prefix='backbone.'))
    with pytest.raises(ConfigError, match=rf'model\.detector\.backbone\.style={trained}'):
        check_pretrained(MODELS.build(inner), 'model.detector.backbone')
    start_from(config(depth=50, style=trained), file)
    start_from(config(style=other), saved(dict(SMALL, style=trained), tmp_path))  # blocks of two convolutions


def test_the_style_of_a_source_is_known_or_not(tmp_path, monkeypatch):
    state = MODELS.build(dict(SMALL, depth=50)).state_dict()
    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', lambda *args, **kwargs: state)
    with pytest.raises(ConfigError, match="style='pytorch', and this"):
        start_from(config(depth=50, style='caffe'), 'torchvision://resnet50')
    torch.save(state, tmp_path / 'bare.pth')  # nobody knows
    start_from(config(depth=50, style='caffe'), str(tmp_path / 'bare.pth'))


def saved(backbone, folder):
    """A checkpoint of a training with this backbone, with the config in it."""
    model = MODELS.build(dict(backbone))
    state = {f'backbone.{key}': value for key, value in model.state_dict().items()}
    torch.save(dict(state_dict=state, meta=dict(cfg=f'model = dict(backbone={backbone!r})\n')), folder / 'epoch_1.pth')
    return str(folder / 'epoch_1.pth')
