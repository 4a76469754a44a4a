"""A student in the init_cfg of a config has to fit the part that it starts."""

import re
import shutil

import pytest
import torch
from mmengine.config import Config

from mmlgd.checkpoints import CheckpointError
from mmlgd.checkpoints.loaders import loading_safely
from mmlgd.checkpoints.starts import start_from
from mmlgd.errors import DownloadError, MissingFileError
from mmlgd.registry import MODELS
from tests.starting import SMALL, downstream, saved


def test_a_student_that_a_config_names_has_to_fit(lgd_checkpoint, tmp_path, monkeypatch):
    """It may stand in any part, and the part may have more; weights of other origin may be meant to fit in part."""
    started = dict(type='Pretrained', checkpoint=str(lgd_checkpoint), prefix='backbone.')
    inner = Config(dict(model=dict(detector=dict(backbone=dict(SMALL, init_cfg=started)))))
    for cfg in (downstream(init_cfg=started), inner, downstream(init_cfg=[started])):
        start_from(cfg)
    inner.model.detector.backbone.base_channels = 16
    for cfg in (downstream(depth=34, deep_stem=True, init_cfg=started), inner):
        with pytest.raises(CheckpointError, match='does not fit ResNet'):
            start_from(cfg)
    told = []
    monkeypatch.setattr('mmlgd.checkpoints.written_starts.print_log', lambda text, *args: told.append(text))
    start_from(downstream(depth=34, init_cfg=started))
    assert len(told) == 1 and re.search(
        'no weights for 96 of 216 keys of the ResNet at model.backbone, .* layer1.2.conv1.weight', told[0]
    )
    stages = dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,))  # as C4 detectors have
    start_from(downstream(**stages, init_cfg=started))
    assert len(told) == 2 and 'stages that the ResNet at model.backbone has not, such as layer4.0.bn1' in told[1]
    start_from(downstream(**stages, depth=34, init_cfg=started))  # and more layers in those that it has
    assert [re.search('keys of|of stages', one)[0] for one in told[2:]] == ['keys of', 'of stages']
    with pytest.raises(CheckpointError, match=r'unexpected .*fewer stages.*in place of --student'):
        start_from(downstream(**stages), str(lgd_checkpoint))
    deep = dict(started, checkpoint=saved(dict(SMALL, depth=34), tmp_path))
    content = torch.load(deep['checkpoint'])
    torch.save(
        {**content, 'state_dict': {**content['state_dict'], 'textual_bank.bank': torch.ones(1)}}, deep['checkpoint']
    )
    with pytest.raises(CheckpointError, match=r'96 unexpected \(layer1.2'):  # layers inside of a stage
        start_from(downstream(init_cfg=deep))
    with pytest.raises(CheckpointError, match='config gives no prefix'):
        start_from(downstream(init_cfg=dict(type='Pretrained', checkpoint=str(lgd_checkpoint))))
    with pytest.raises(CheckpointError, match=r'has no spine\.\* weights'):
        start_from(downstream(init_cfg=dict(started, prefix='spine.')))


def test_a_student_may_be_named_as_the_start_of_a_whole_model(lgd_checkpoint):
    """mmengine loads its backbone then, and nothing else: neck and banks have no place there."""
    cfg = downstream()
    cfg.model.init_cfg = dict(type='Pretrained', checkpoint=str(lgd_checkpoint))
    start_from(cfg)
    cfg.model.backbone.base_channels = 16
    with pytest.raises(CheckpointError, match='does not fit ResNet'):
        start_from(cfg)


def test_a_student_is_checked_in_each_way_to_name_it(lgd_checkpoint, monkeypatch):
    """The older form of init_cfg has no prefix: mmengine would load nothing, and only warn."""
    pytest.importorskip('mmseg')
    file = str(lgd_checkpoint)
    monkeypatch.setenv('HOME', str(lgd_checkpoint.parent))
    segmentor = downstream()
    segmentor.model.update(type='mmseg.EncoderDecoder', pretrained=file)
    for cfg in (segmentor, downstream(type='mmseg.ResNet', pretrained=file)):
        with pytest.raises(CheckpointError, match='gives no prefix.* in.* place of pretrained'):
            start_from(cfg)
    classifier, whole = downstream(), downstream()
    classifier.model.update(type='mmpretrain.ImageClassifier', pretrained=file)  # the weights of all of it
    whole.load_from = file
    short = f'~/{lgd_checkpoint.name}'
    started = [dict(type=kind, checkpoint=short, prefix='backbone.') for kind in ('Pretrained', 'mmengine.Pretrained')]
    for cfg in (classifier, whole, *(downstream(init_cfg=one) for one in started)):
        start_from(cfg)
        cfg.model.backbone.base_channels = 16
        with pytest.raises(CheckpointError, match='does not fit ResNet'):
            start_from(cfg)
    whole.resume = True  # load_from is a checkpoint of this run
    start_from(whole)


def test_a_student_without_a_backbone_to_start_is_refused(lgd_checkpoint):
    """mmengine would load nothing, and only warn."""
    file = str(lgd_checkpoint)
    for start in (dict(load_from=file), {'model.init_cfg': dict(type='Pretrained', checkpoint=file)}):
        cfg = Config(dict(model=dict(type='mmdet.SoftTeacher', detector=dict(backbone=SMALL))))
        cfg.merge_from_dict(start)
        with pytest.raises(CheckpointError, match=r'nothing would be loaded.*detector=dict\(backbone='):
            start_from(cfg)
        start_from(Config(dict(cfg, resume=True)) if 'load_from' in start else Config(dict(model=dict(type='Other'))))


def test_weights_of_others_may_fit_in_part(tmp_path):
    file = saved(SMALL, tmp_path)
    start_from(downstream(base_channels=16, init_cfg=dict(type='Pretrained', checkpoint=file, prefix='backbone.')))


def test_a_file_that_is_not_there_is_told_before_data_are_built(tmp_path):
    """mmengine would say so only when it loads the weights."""
    started, whole = dict(type='Pretrained', checkpoint=str(tmp_path / 'epoch_9.pth'), prefix='backbone.'), downstream()
    whole.load_from = started['checkpoint']
    for cfg in (downstream(init_cfg=started), whole):
        with pytest.raises(
            MissingFileError, match='no checkpoint at .*epoch_9.pth.* the start of model.*--student none'
        ):
            start_from(cfg)
    whole.resume = True  # it reads the latest of its own
    start_from(whole)


@pytest.mark.parametrize('name', ['clip.pt', 'clip.safetensors'])
def test_weights_of_another_form_are_left_to_the_part_that_reads_them(tmp_path, name):
    """TorchScript archives and safetensors, which teachers take, are no checkpoints of mmengine."""
    file = tmp_path / name
    if name.endswith('.pt'):
        torch.jit.script(torch.nn.ReLU()).save(file)
    else:
        file.write_bytes((2).to_bytes(8, 'little') + b'{}' + bytes(16))
    words = dict(type='mmlgd.OpenCLIPTeacher', model='RN50', pretrained=str(file))
    for teacher in (words, dict(type='mmlgd.TeacherPair', words=words), dict(type='Own', pretrained=str(file))):
        start_from(Config(dict(model=dict(type='mmlgd.LGD', backbone=SMALL, teacher=teacher))))
    with pytest.raises(CheckpointError, match=name):
        start_from(downstream(init_cfg=dict(type='Pretrained', checkpoint=str(file))))


def test_the_weights_of_a_teacher_are_not_read(tmp_path, monkeypatch):
    """They may be of many gigabytes."""
    file = saved(SMALL, tmp_path)
    monkeypatch.setattr('mmlgd.checkpoints.written_starts.read_start', lambda source: pytest.fail(source))
    teacher = dict(type='mmlgd.OpenCLIPTeacher', model='RN50', pretrained=file)
    start_from(Config(dict(model=dict(type='mmlgd.LGD', backbone=SMALL, teacher=teacher))))
    start_from(Config(dict(model=dict(backbone=SMALL, guide=dict(type='mmlgd.Guide', teacher=teacher)))))


def test_a_student_behind_an_address_is_checked_and_downloaded_once(lgd_checkpoint, tmp_path, monkeypatch):
    asked = []

    def download(url, file, **kwargs):
        asked.append(url)
        shutil.copy(lgd_checkpoint, file)

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    started = dict(type='Pretrained', checkpoint='https://a.org/epoch_2.pth', prefix='backbone.')
    cfg = downstream(init_cfg=started)
    start_from(cfg)
    with loading_safely():
        MODELS.build(dict(cfg.model.backbone)).init_weights()
    with pytest.raises(CheckpointError, match='https://a.org/epoch_2.pth has its backbone .* no prefix'):
        start_from(downstream(init_cfg=dict(started, prefix=None)))
    assert len(asked) == 1


def test_an_address_without_a_network_is_left_to_a_part_that_reads_it_itself(tmp_path, monkeypatch):
    """It may have it in a cache of its own."""

    def unreachable(url, file, **kwargs):
        raise OSError('no route')

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', unreachable)
    start_from(Config(dict(model=dict(type='Own', pretrained='https://a.org/own.pth'))))
    with pytest.raises(DownloadError, match='https://a.org/own.pth: no route'):
        start_from(downstream(init_cfg=dict(type='Pretrained', checkpoint='https://a.org/own.pth')))


def test_a_student_saved_by_ddp_fits_and_is_loaded(lgd_checkpoint, tmp_path):
    content = torch.load(lgd_checkpoint)
    state = {f'module.{key}': value for key, value in content['state_dict'].items()}
    for name, whole in (('a.pth', dict(content, state_dict=state)), ('b.pth', state)):
        torch.save(whole, tmp_path / name)
        cfg = downstream()
        start_from(cfg, str(tmp_path / name))
        with loading_safely():
            (module := MODELS.build(dict(cfg.model.backbone))).init_weights()
        assert torch.equal(module.conv1.weight, state['module.backbone.conv1.weight'])


def test_a_backbone_that_is_no_dict_is_left_to_its_model():
    start_from(Config(dict(model=dict(type='Other', backbone='resnet'))))
