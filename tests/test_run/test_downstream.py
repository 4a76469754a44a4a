"""``mmlgd detect`` and ``mmlgd segment``: the config that they write, and the training that they start."""

import importlib
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

import mmlgd
from mmlgd.checkpoints import read_checkpoint
from mmlgd.checkpoints.resume import last_whole_checkpoint
from mmlgd.checkpoints.starts import start_from
from mmlgd.cli.__main__ import main
from mmlgd.datasets import fill_in
from mmlgd.datasets.boxes import BoxesError
from mmlgd.errors import ConfigError, MissingFileError, MissingPackageError
from mmlgd.registry import MODELS
from mmlgd.run.child import RunError
from mmlgd.run.config import set_work_dir
from mmlgd.run.labelled import check_labelled
from mmlgd.run.stages import student_stages
from mmlgd.utils.configs import read_config
from mmlgd.utils.files import LockedError
from tests.test_datasets.test_boxes.test_found import NAMES, change_coco, coco, voc, yolo

module = importlib.import_module('mmlgd.run.downstream')
QUICK = {'iterations': 60, 'train_dataloader.batch_size': 2, 'default_hooks.logger.interval': 30}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of its own; training runs in this process, as a new one takes seconds to import the stack."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, 'run', lambda command: main(command[3:], standalone_mode=False) or 0)


def masks(root, part='train', count=6, values=(0, 1, 2)):
    for k in range(count):
        for folder, mode, ending in (('images', 'RGB', 'jpg'), ('masks', 'L', 'png')):
            file = root / folder / part / f'{k}.{ending}'
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.resize(np.array(values, np.uint8), (40, 80))
            Image.fromarray(pixels).convert(mode).save(file)
    (root / 'names.txt').write_text('red panda\ncat\n')


def test_a_detector_is_trained_on_a_student(tmp_path, lgd_checkpoint, capsys):
    pytest.importorskip('mmdet')
    yolo(tmp_path / 'data')
    result = mmlgd.detect(data='data', student=str(lgd_checkpoint), size=64, cfg_options=QUICK)
    said = capsys.readouterr().out
    assert 'YOLO boxes in data: 10 images to train, 10 to validate; 2 class names: red panda, cat.' in said
    assert result.comparison[:2] == ['mmlgd', 'compare'] and ' '.join(result.comparison) in said
    cfg = Config.fromfile(result.config)
    assert cfg.names == NAMES and tuple(cfg.image_size) == (64, 32) and cfg.iterations == 60
    assert result.checkpoint.name == 'iter_60.pth'
    state = read_checkpoint(result.checkpoint)['state_dict']
    assert state['backbone.conv1.weight'].shape[0] == 8  # of the student
    assert state['bbox_head.atss_cls.weight'].shape[0] == 2


def test_a_segmentor_is_trained_on_a_student(tmp_path, lgd_checkpoint, capsys):
    pytest.importorskip('mmseg')
    masks(tmp_path / 'data', part='')  # without parts
    options = [f'{key}={value}' for key, value in QUICK.items()]
    command = ['segment', '--data', 'data', '--student', str(lgd_checkpoint), '--size', '64', '--cfg-options', *options]
    main(command, standalone_mode=False)
    said = capsys.readouterr().out
    drawn = '(drawn: frames of one video may be in both)'
    assert f'5 images to train, 1 to validate {drawn}; 2 class names: red panda, cat.' in said
    assert 'Value 2 of the masks is beyond the names and counts as no label' in said and '--metric mIoU' in said
    cfg = Config.fromfile(tmp_path / 'work_dirs/segment_data/recipe/segment.py')
    assert (cfg.ignore_index, cfg.img_suffix, cfg.seg_map_suffix) == (2, '.jpg', '.png')
    state = read_checkpoint(tmp_path / 'work_dirs/segment_data/iter_60.pth')['state_dict']
    assert state['decode_head.conv_seg.weight'].shape[0] == 2


def test_no_name_in_the_data_runs_as_part_of_the_config(tmp_path):
    """A data set is anyone's. mmengine would take the line of this name out of its quotes."""
    pytest.importorskip('mmdet')
    name = '{{$NO:open("ran","w").close(),#|.*}}'
    yolo(tmp_path / 'data')
    (tmp_path / 'data/data.yaml').write_text(json.dumps(dict(names=['cat', name])))
    with pytest.raises(ConfigError, match='names.1 is .*, and mmengine substitutes what starts with'):
        mmlgd.detect(data='data', student='none', dry_run=True)
    for part in ('train', 'val'):
        masks(tmp_path / 'masks', part=f'{{{{ fileDirname }}}}/{part}')
    with pytest.raises(ConfigError, match='mmengine substitutes'):
        mmlgd.segment(data='masks', student='none', dry_run=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['data', 'masks']


def test_options_say_what_the_values_of_masks_mean(tmp_path, capsys):
    masks(tmp_path / 'data', values=(0, 1, 2, 255))
    masks(tmp_path / 'data', 'val', values=(0, 1, 2, 255))
    command = ['segment', '--data', 'data', '--student', 'none', '--dry-run']
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code and '--cfg-options reduce_zero_label=True' in refused.output
    assert not (tmp_path / 'work_dirs').exists()
    main([*command, '--cfg-options', 'reduce_zero_label=True'], standalone_mode=False)
    assert 'red panda 25.0 %, cat 25.0 %; no label 50.0 %.' in capsys.readouterr().out
    cfg = Config.fromfile(tmp_path / 'work_dirs/segment_data/recipe/segment.py')
    assert (cfg.ignore_index, cfg.reduce_zero_label) == (255, True)


@pytest.mark.parametrize('verb', ['detect', 'segment'])
def test_a_size_among_the_options_is_the_one_that_is_told(tmp_path, verb, capsys):
    pytest.importorskip(dict(detect='mmdet', segment='mmseg')[verb])
    for part in ('train', 'val'):
        masks(tmp_path / 'data', part)
    coco(tmp_path / 'boxes')
    given = dict(data=dict(detect='boxes', segment='data')[verb], student='none', dry_run=True)
    run = getattr(mmlgd, verb)
    cfg = Config.fromfile(tmp_path / run(**given, cfg_options=dict(image_size=[64, 96])).config)
    assert cfg.image_size == [64, 96] and 'are fitted into 64 x 96 px' in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r'--size 64 and --cfg-options image_size=96 say the same'):
        run(**given, size=64, cfg_options=dict(image_size=96))
    with pytest.raises(ConfigError, match="image_size is 'large', expected pixels"):
        run(**given, cfg_options=dict(image_size='large'))


@pytest.mark.parametrize('has_card', [False, True])
@pytest.mark.parametrize('verb', ['detect', 'segment'])
def test_the_template_of_each_machine_takes_the_student(tmp_path, lgd_checkpoint, verb, has_card, monkeypatch):
    pytest.importorskip(dict(detect='mmdet', segment='mmseg')[verb])
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: has_card)
    for part in ('train', 'val'):
        masks(tmp_path / 'data', part)
    coco(tmp_path / 'boxes')
    data = dict(detect='boxes', segment='data')[verb]
    result = getattr(mmlgd, verb)(data=data, student=str(lgd_checkpoint), dry_run=True)
    assert result.checkpoint is None and result.command[3:5] == ['train', str(result.config)]
    monkeypatch.undo()
    cfg = Config.fromfile(tmp_path / result.config)
    assert tuple(cfg.image_size) == (80, 40)  # not enlarged
    if has_card:  # the command that is printed at the end evaluates the same images
        assert cfg.test_dataloader.dataset == cfg.val_dataloader.dataset
    if verb == 'detect':  # the files that are there need no copy
        assert cfg.train_dataloader.dataset.ann_file == 'annotations/instances_train.json'
    fill_in(cfg)
    init_default_scope(cfg.default_scope)
    start_from(cfg, str(lgd_checkpoint))
    model = MODELS.build(cfg.model)
    assert model.backbone.base_channels == 8
    assert {module.num_classes for module in model.modules() if hasattr(module, 'num_classes')} >= {2}
    features = model.extract_feat(torch.rand(1, 3, 64, 64))
    assert len(features) >= 3


@pytest.mark.parametrize(
    'backbone, stages, channels',
    [
        (dict(type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8), (0, 1, 2, 3), [8, 16, 32, 64]),
        (dict(type='mmpretrain.MobileNetV2', widen_factor=0.25), (1, 2, 4, 7), [8, 8, 24, 1280]),
        (dict(type='mmpretrain.RegNet', arch='regnetx_400mf'), (0, 1, 2, 3), [32, 64, 160, 384]),
    ],
)
def test_the_stages_of_a_student_are_its_last_outputs_at_each_stride(tmp_path, backbone, stages, channels):
    student = MODELS.build(backbone)
    state = {f'backbone.{key}': value for key, value in student.state_dict().items()}
    config = Config(dict(default_scope='mmpretrain', model=dict(type='mmlgd.LGD', backbone=backbone)))
    torch.save(dict(meta=dict(cfg=config.pretty_text), state_dict=state), tmp_path / 'a.pth')
    settings, found = student_stages(tmp_path / 'a.pth')
    assert settings['out_indices'] == stages and found == channels


def test_a_student_without_stages_is_refused(tmp_path):
    backbone = dict(type='mmpretrain.VisionTransformer', arch='deit-t', img_size=128, out_type='featmap')
    state = {f'backbone.{key}': value for key, value in MODELS.build(backbone).state_dict().items()}
    config = Config(dict(default_scope='mmpretrain', model=dict(type='mmlgd.LGD', backbone=backbone)))
    torch.save(dict(meta=dict(cfg=config.pretty_text), state_dict=state), tmp_path / 'a.pth')
    with pytest.raises(ConfigError, match='needs 4, 8, 16, 32; .* are missing'):
        student_stages(tmp_path / 'a.pth')


def test_what_cannot_be_used_leaves_nothing_behind(tmp_path):
    voc(tmp_path / 'data')
    for options, error, said in (
        (dict(data='none'), MissingFileError, 'no folder of data'),
        (dict(names=['cat', 'dog']), BoxesError, 'not among the class names: red panda'),
        (dict(size=8), ConfigError, '--size from 32 to 4096'),
        (dict(student='none.pth'), MissingFileError, 'none.pth'),
        (dict(cfg_options={'iteratons': 5}), ConfigError, 'Did you mean iterations'),
        (dict(work_dir='data/run'), ConfigError, 'lies in the folder of images'),
    ):
        with pytest.raises(error, match=said):
            mmlgd.detect(**{**dict(data='data', student='none', dry_run=True), **options})
    assert not (tmp_path / 'work_dirs').exists()


def test_small_boxes_are_warned_of_and_drawn_parts_are_written(tmp_path, capsys):
    voc(tmp_path / 'data')
    result = mmlgd.detect(data='data', student='none', size=32, dry_run=True)
    assert 'Half of the boxes have a side of 5.7 px or less at this size' in capsys.readouterr().out
    cfg = Config.fromfile(result.config)
    for part, count in (('train', 8), ('val', 2)):
        file = cfg[f'{part}_dataloader'].dataset.ann_file
        assert file.endswith(f'annotations/{part}.json') and len(json.loads(Path(file).read_text())['images']) == count


def locked(folder):
    raise LockedError(folder)


def test_parts_that_were_trained_on_are_not_drawn_anew(tmp_path, monkeypatch):
    voc(tmp_path / 'data')
    result = mmlgd.detect(data='data', student='none', dry_run=True)
    val = Path(Config.fromfile(result.config).val_dataloader.dataset.ann_file)
    before = val.read_bytes()
    voc(tmp_path / 'more', count=12)
    for file in (tmp_path / 'more').rglob('1[01].*'):
        file.rename(tmp_path / 'data' / file.relative_to(tmp_path / 'more'))
    torch.save(dict(state_dict={}, meta={}), result.work_dir / 'iter_60.pth')
    (result.work_dir / 'last_checkpoint').write_text(str(result.work_dir / 'iter_60.pth'))
    for options in (dict(resume=True), dict(dry_run=True), {}):
        with pytest.raises(FileExistsError, match='iter_60.pth was trained with, and the data have changed'):
            mmlgd.detect(data='data', student='none', **options)
        assert val.read_bytes() == before
    with pytest.raises(ConfigError, match='give only one of them'):
        mmlgd.detect(data='data', student='none', overwrite=True, resume=True)
    with monkeypatch.context() as held, pytest.raises(LockedError):  # a run is going on
        held.setattr('mmlgd.utils.files.sole_writer', locked)
        mmlgd.detect(data='data', student='none', dry_run=True, overwrite=True)
    assert val.read_bytes() == before
    mmlgd.detect(data='data', student='none', dry_run=True, overwrite=True)
    assert val.read_bytes() != before
    assert last_whole_checkpoint(result.work_dir) is None  # of other images, whenever the new run is stopped


def test_a_coco_file_that_was_trained_on_is_read_in_place_and_may_not_change(tmp_path):
    coco(tmp_path / 'data')
    result = mmlgd.detect(data='data', student='none', dry_run=True)
    torch.save(dict(state_dict={}, meta={}), result.work_dir / 'iter_60.pth')
    mmlgd.detect(data='data', student='none', dry_run=True)
    change_coco(tmp_path / 'data', iscrowd=lambda one: one['id'] % 2)
    with pytest.raises(FileExistsError, match='train.sha256 is of .*iter_60.pth was trained with'):
        mmlgd.detect(data='data', student='none', resume=True)
    mmlgd.detect(data='data', student='none', dry_run=True, overwrite=True)
    assert last_whole_checkpoint(result.work_dir) is None


def test_masks_that_were_trained_on_may_not_change(tmp_path):
    pytest.importorskip('mmseg')
    masks(tmp_path / 'data')
    masks(tmp_path / 'data', part='val')
    result = mmlgd.segment(data='data', student='none', dry_run=True)
    torch.save(dict(state_dict={}, meta={}), result.work_dir / 'iter_60.pth')
    mmlgd.segment(data='data', student='none', dry_run=True)
    masks(tmp_path / 'data', part='val', values=(2, 1, 0))
    with pytest.raises(FileExistsError, match='masks.sha256 is of .*iter_60.pth was trained with'):
        mmlgd.segment(data='data', student='none', resume=True)


def test_a_training_that_fails_ends_the_command_with_its_code(tmp_path, monkeypatch):
    voc(tmp_path / 'data')
    monkeypatch.setattr(module, 'run', lambda command: 3)
    with pytest.raises(RunError, match='ended with exit code 3'):
        mmlgd.detect(data='data', student='none')
    done = CliRunner().invoke(main, ['detect', '--data', 'data', '--student', 'none'])
    assert done.exit_code == 3


def test_a_work_dir_like_an_option_is_written_as_a_path(tmp_path):
    voc(tmp_path / 'data')
    result = mmlgd.detect(data='data', student='none', work_dir='-x', dry_run=True)
    assert str(tmp_path / '-x/recipe/detect.py') in result.command


def test_another_config_in_the_work_dir_is_kept(tmp_path):
    voc(tmp_path / 'data')
    mmlgd.detect(data='data', student='none', dry_run=True)
    result = mmlgd.detect(data='data', student='none', size=96, dry_run=True)  # it had trained nothing
    torch.save(dict(state_dict={}, meta={}), result.work_dir / 'iter_60.pth')
    with pytest.raises(FileExistsError, match='recipe/detect.py is the config of another run'):
        mmlgd.detect(data='data', student='none', size=64, dry_run=True)


@pytest.mark.parametrize('verb', ['detect', 'segment'])
def test_a_work_dir_that_was_moved_is_gone_on_with(tmp_path, verb):
    """The paths of its lists of images are in its config."""
    pytest.importorskip(dict(detect='mmdet', segment='mmseg')[verb])
    dict(detect=yolo, segment=lambda root: masks(root, part=''))[verb](tmp_path / 'data')
    place = tmp_path / 'a work dir, whose path is so long that its config has other line breaks'
    call = partial(getattr(mmlgd, verb), data='data', student='none', dry_run=True)
    call(work_dir='run')
    Path('run').rename(place)
    config = place / f'recipe/{verb}.py'
    with pytest.raises(ConfigError, match=f'was it moved or copied.*its `mmlgd {verb}` with --work-dir .* --resume'):
        set_work_dir(read_config(config), None)
    call(work_dir=place)
    cfg = Config.fromfile(config)
    assert cfg.work_dir == str(place) and Path(cfg.train_dataloader.dataset.ann_file).is_file()
    place.rename('run')
    torch.save(dict(state_dict={}, meta={}), 'run/iter_60.pth')  # it has trained
    with pytest.raises(FileExistsError, match='is the config of another run'):
        call(work_dir='run', seed=1)
    config = Path(f'run/recipe/{verb}.py')
    config.write_text(f'{config.read_text()}# the one of Monday\n')
    with pytest.raises(FileExistsError, match='has been edited'):
        call(work_dir='run')


def test_a_coco_file_that_lacks_something_is_copied(tmp_path, capsys):
    coco(tmp_path / 'data')
    change_coco(tmp_path / 'data', part='val', id=lambda one: one['id'] - 1, iscrowd=None)
    result = mmlgd.detect(data='data', student='none', dry_run=True)
    assert 'instances_val.json is copied into the work dir' in capsys.readouterr().out
    cfg = Config.fromfile(result.config)
    assert cfg.train_dataloader.dataset.ann_file == 'annotations/instances_train.json'
    assert not (result.work_dir / 'annotations/train.json').exists()
    dataset = cfg.val_dataloader.dataset
    assert dataset.ann_file == str(tmp_path / result.work_dir / 'annotations/val.json')
    assert (tmp_path / 'data' / dataset.data_prefix.img / '0.jpg').is_file()
    fill_in(cfg)
    check_labelled(cfg)


def test_names_with_blanks_at_their_end_are_those_of_the_annotations(tmp_path):
    coco(tmp_path / 'data')
    for file in (tmp_path / 'data/annotations').iterdir():
        file.write_text(file.read_text().replace('red panda', 'red panda '))
    cfg = Config.fromfile(mmlgd.detect(data='data', student='none', dry_run=True).config)
    fill_in(cfg)
    check_labelled(cfg)


@pytest.mark.parametrize('verb', ['detect', 'segment'])
def test_without_the_library_nothing_is_written(tmp_path, monkeypatch, verb):
    monkeypatch.setattr('mmlgd.utils.configs.find_spec', lambda package: None)
    with pytest.raises(MissingPackageError, match='openmmlab-dense'):
        getattr(mmlgd, verb)(data=tmp_path, student='none', work_dir=tmp_path / 'work')
    assert not (tmp_path / 'work').exists()
