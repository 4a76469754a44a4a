"""One argument sets what a downstream config starts from, and refuses what would not start it."""

from urllib.error import URLError

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mmlgd.checkpoints import CheckpointError
from mmlgd.checkpoints.starts import kept_random, start_from
from mmlgd.errors import ConfigError
from mmlgd.registry import MODELS
from tests.starting import SMALL, downstream


@pytest.fixture
def weights():
    return MODELS.build(dict(SMALL)).state_dict()


def test_a_checkpoint_of_pretraining(lgd_checkpoint):
    cfg = downstream()
    start_from(cfg, str(lgd_checkpoint))
    assert cfg.model.backbone.pop('init_cfg') == dict(
        type='Pretrained', checkpoint=str(lgd_checkpoint), prefix='backbone.'
    )
    assert cfg.model.backbone == SMALL


def test_a_student_replaces_earlier_starts_of_the_config(lgd_checkpoint):
    cfg = downstream(pretrained='open-mmlab://resnet18_v1c', init_cfg=dict(type='Pretrained', checkpoint='old.pth'))
    cfg.model.pretrained = 'open-mmlab://resnet18_v1c'
    start_from(cfg, str(lgd_checkpoint))
    assert 'pretrained' not in cfg.model and 'pretrained' not in cfg.model.backbone
    assert cfg.model.backbone.init_cfg.checkpoint == str(lgd_checkpoint)


def test_a_random_start():
    old = dict(type='Pretrained', checkpoint='torchvision://resnet18')
    cfg = downstream(init_cfg=old)
    start_from(cfg)
    assert cfg.model.backbone.init_cfg == old  # nothing asked, nothing changed
    start_from(cfg, 'none')
    assert cfg.model.backbone == SMALL
    cfg = downstream(init_cfg=dict(type='Pretrained', checkpoint=None, prefix='backbone.'))
    start_from(cfg)
    assert cfg.model.backbone == SMALL
    start_from(Config(dict(model=dict(type='NoBackbone'))))


def test_a_random_start_reads_no_file_of_timm():
    cfg = downstream(pretrained=True, checkpoint_path='resnet18.pth')
    start_from(cfg, 'none')
    assert cfg.model.backbone == SMALL


def test_weights_of_the_whole_model_beside_a_start_are_refused(lgd_checkpoint):
    inits = dict(type='Pretrained', checkpoint='coco.pth')
    for source in ('none', str(lgd_checkpoint)):
        for change, key in (
            (dict(load_from='coco.pth'), 'load_from=coco.pth'),
            ({'model.init_cfg': inits}, 'model.init_cfg='),
            ({'model.init_cfg': [dict(type='Normal'), inits]}, 'model.init_cfg='),
        ):
            cfg = downstream()
            cfg.merge_from_dict(change)
            with pytest.raises(ConfigError, match=f'--student {source} is the start of .* has {key}'):
                start_from(cfg, source)
    for change in (dict(load_from='epoch_1.pth', resume=True), {'model.init_cfg': dict(type='Normal')}):
        cfg = downstream()
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
    found = kept_random(downstream(**settings))
    assert told in found and bool(told) == bool(found)


def test_a_bare_backbone(weights, tmp_path):
    path = str(tmp_path / 'backbone.pth')
    torch.save(weights, path)
    cfg = downstream()
    start_from(cfg, path)
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=path)


def test_a_name_of_torchvision(weights, monkeypatch):
    # As torchvision's file is: with a classifier, without counts of batches.
    theirs = {key: value for key, value in weights.items() if not key.endswith('num_batches_tracked')}
    theirs['fc.weight'] = theirs['fc.bias'] = torch.zeros(1)
    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', lambda name, map_location: theirs)
    cfg = downstream()
    start_from(cfg, 'torchvision://resnet18')
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint='torchvision://resnet18')
    theirs.pop('layer1.0.conv1.weight')
    with pytest.raises(CheckpointError, match=r'torchvision://resnet18 .*1 missing \(layer1.0.conv1.weight\)'):
        start_from(cfg, 'torchvision://resnet18')


def test_a_name_without_a_network(tmp_path, monkeypatch):
    def unreachable(url, file, **kwargs):
        raise URLError('no route')

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', unreachable)
    with pytest.raises(ConnectionError, match='https://.*resnet18-.*pth: no route.*give its path'):
        start_from(downstream(), 'torchvision://resnet18')


def test_an_unknown_name_of_weights_is_refused():
    with pytest.raises(CheckpointError, match="no weights named 'torchvision://resnet19'.*Give a name as"):
        start_from(downstream(), 'torchvision://resnet19')


@pytest.mark.parametrize('source', ['s3://bucket/a.pth', 'other://a.pth'])
def test_an_address_of_another_kind_is_not_given_to_mmengine(source):
    """mmengine would look for a client, or unpickle a file of that name; also where Python calls, and no command."""
    with pytest.raises(CheckpointError, match='Weights are .*read from'):
        start_from(downstream(), source)


def test_unfit_starts_are_refused(lgd_checkpoint, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no checkpoint at .*epoch_9.pth'):
        start_from(downstream(), str(tmp_path / 'epoch_9.pth'))
    torch.save({'visual.conv1.weight': torch.zeros(1), 'token_embedding.weight': torch.zeros(1)}, tmp_path / 'clip.pth')
    with pytest.raises(CheckpointError, match=r'has no backbone\.\*.*CLIP teacher'):
        start_from(downstream(), str(tmp_path / 'clip.pth'))
    (tmp_path / 'cut.pth').write_bytes(lgd_checkpoint.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match='cut off'):
        start_from(downstream(), str(tmp_path / 'cut.pth'))
    with pytest.raises(CheckpointError, match=r'does not fit ResNet: .*conv1.weight \(8, .*instead of \(16, .*width'):
        start_from(downstream(base_channels=16, stem_channels=16), str(lgd_checkpoint))
    with pytest.raises(ValueError, match=r"no model.backbone .*its model has \['head', 'type'\]"):
        start_from(Config(dict(model=dict(type='Other', head={}))), str(lgd_checkpoint))


def test_a_backbone_that_cannot_be_built_is_named(lgd_checkpoint):
    with pytest.raises(ConfigError, match=r'model\.backbone cannot be built from these settings: .*dept'):
        start_from(downstream(dept=18), str(lgd_checkpoint))


def test_a_backbone_inside_of_a_detector_is_started_by_the_config(lgd_checkpoint, weights, tmp_path):
    cfg = Config(dict(model=dict(type='SoftTeacher', detector=dict(backbone=SMALL))))
    with pytest.raises(ConfigError, match=r'no model\.backbone .*model=dict\(detector=.*init_cfg=dict.*prefix='):
        start_from(cfg, str(lgd_checkpoint))
    with pytest.raises(ConfigError, match=r'backbone=dict\(init_cfg=None\)'):
        start_from(cfg, 'none')
    torch.save(weights, tmp_path / 'bare.pth')
    with pytest.raises(ConfigError, match=r"checkpoint='[^']*bare\.pth'\)\)"):  # no prefix
        start_from(cfg, str(tmp_path / 'bare.pth'))
