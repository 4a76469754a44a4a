"""Runs as a user starts them: train, resume, evaluate; on mmpretrain, mmdet and mmseg configs."""

import json
import re
from textwrap import dedent

import pytest
import torch
from click.testing import CliRunner
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader

import mmlgd
from mmlgd.checkpoints import read_checkpoint
from mmlgd.checkpoints.words import words_of
from mmlgd.cli.__main__ import main
from mmlgd.demo import DEMO_CLASSES, write_demo_world
from mmlgd.errors import ConfigError, MMLGDError
from mmlgd.run.config import build_runner
from mmlgd.run.train_options import train_config
from tests import ROOT


def log_of(work_dir):
    return '\n'.join(file.read_text() for file in sorted(work_dir.glob('*/*.log')))


@pytest.fixture(scope='module')
def trained(recipe, tmp_path_factory):
    return mmlgd.train(recipe, work_dir=tmp_path_factory.mktemp('work') / 'run')


@pytest.fixture(scope='module')
def evaluated(trained, recipe):
    """By the verb, beside the checkpoint."""
    folder = trained.work_dir.parent
    files = ['--out', folder / 'metrics.json', '--show-dir', folder / 'shown', '--work-dir', folder / 'test']
    done = CliRunner().invoke(main, [str(a) for a in ('test', recipe, trained.checkpoint, *files)])
    assert done.exit_code == 0, done.output[-3000:] + repr(done.exception)
    return folder


def test_the_result_says_where_the_run_is_and_what_came_out(trained, evaluated):
    assert trained.checkpoint == trained.work_dir / 'epoch_2.pth' and trained.checkpoint.is_file()
    assert set(trained.losses) == {'loss', 'loss_visual', 'loss_textual'}
    assert trained.losses['loss'] == pytest.approx(trained.losses['loss_visual'] + trained.losses['loss_textual'])
    assert json.loads((evaluated / 'metrics.json').read_text()) == pytest.approx(trained.metrics)


def test_the_log_shows_progress_and_student_beside_teacher(trained):
    log = log_of(trained.work_dir)
    assert re.search(r'Epoch\(train\) \[2\]\[3/3\].*eta: .*data_time: .*loss_visual: .*loss_textual: ', log)
    assert re.search(r'Epoch\(val\) \[2\]\[3/3\].*accuracy/top1: .*teacher_accuracy/top1: ', log)
    assert re.search(r'Epoch\(train\) \[2\]  bank/visited: .*bank/prototype_entropy: ', log)


def test_a_checkpoint_holds_the_student_and_both_banks_but_no_teacher(trained):
    state = read_checkpoint(trained.checkpoint)['state_dict']
    assert {key.split('.')[0] for key in state} == {'backbone', 'neck', 'textual_bank', 'visual_bank'}
    text = words_of(state['textual_bank._extra_state'])
    assert text['class_names'] == ['cat', 'dog', 'tree'] and text['teacher_id'].startswith('open_clip/')


def test_resume_continues(trained, recipe):
    """By the verb."""
    options = ['--resume', trained.checkpoint, '--cfg-options', 'train_cfg.max_epochs=3']
    command = ['train', recipe, '--work-dir', trained.work_dir.parent / 'resumed', *options]
    done = CliRunner().invoke(main, list(map(str, command)))
    assert done.exit_code == 0, done.output[-3000:] + repr(done.exception)
    log = log_of(trained.work_dir.parent / 'resumed')
    assert 'Epoch(train) [3][1/3]' in log and 'Epoch(train) [2]' not in log
    after = read_checkpoint(trained.work_dir.parent / 'resumed/epoch_3.pth')['state_dict']
    before = read_checkpoint(trained.checkpoint)['state_dict']
    assert not torch.equal(before['visual_bank.bank'], after['visual_bank.bank'])
    assert torch.equal(before['textual_bank.bank'], after['textual_bank.bank'])


def test_a_config_object_trains_and_stays_as_it_is(recipe, tmp_path):
    cfg = Config.fromfile(recipe)
    cfg.train_cfg.max_epochs = 1
    before, loaders, scopes = cfg.to_dict(), dict(CheckpointLoader._schemes), set(DefaultScope._instance_dict)
    result = mmlgd.train(cfg, work_dir=tmp_path, no_validate=True)
    assert result.checkpoint == tmp_path / 'epoch_1.pth' and result.metrics == {}
    assert cfg.to_dict() == before and CheckpointLoader._schemes == loaders
    mmlgd.test(cfg, result.checkpoint, work_dir=tmp_path / 'test')
    mmlgd.store_teacher(cfg, out=tmp_path / 'store', views=1)
    assert set(DefaultScope._instance_dict) == scopes  # mmengine's scope of names is that of the caller


def test_two_runs_of_one_second_have_figures_of_their_own(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr('time.time', lambda: 1e9)
    one, other = (build_runner(train_config(recipe, work_dir=tmp_path / name)) for name in ('one', 'other'))
    assert one.message_hub is not other.message_hub and one.logger is not other.logger


def test_transfer_to_other_names(trained, evaluated, recipe):
    assert list((evaluated / 'shown').glob('*.png'))
    assert set(json.loads((evaluated / 'metrics.json').read_text())) == {'accuracy/top1', 'teacher_accuracy/top1'}
    names = {'model.text.vocabulary': ['cow', 'hen', 'pig']}
    with pytest.raises(MMLGDError, match='model.text.transfer=True'):
        mmlgd.test(recipe, trained.checkpoint, work_dir=evaluated / 'refused', cfg_options=names)
    names['model.text.transfer'] = True
    assert mmlgd.test(recipe, trained.checkpoint, work_dir=evaluated / 'other', cfg_options=names)


def test_a_work_dir_in_the_folder_of_images_is_refused_before_it_is_made(recipe, images):
    work_dir = images / 'work_dirs' / 'run'
    with pytest.raises(MMLGDError, match=f'The work dir {work_dir} lies in the folder of images {images}'):
        mmlgd.train(recipe, work_dir=work_dir)
    assert not work_dir.parent.exists()


def test_names_that_do_not_fit_the_evaluation_set_stop_the_run_at_once(recipe, tmp_path):
    with pytest.raises(MMLGDError, match='has 3 classes, but the vocabulary has 2 names'):
        mmlgd.train(recipe, work_dir=tmp_path, cfg_options={'model.text.vocabulary': ['cow', 'hen']})
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize(
    'options, message',
    [
        ({'train_dataloader.dataset.data_root': '/nowhere'}, '/nowhere'),
        ({'model.text.vocabulary': '/nowhere.txt'}, 'neither a file nor one of'),
    ],
)
def test_bad_input_is_named(recipe, options, message, tmp_path):
    with pytest.raises((MMLGDError, FileNotFoundError), match=message):
        mmlgd.train(recipe, work_dir=tmp_path, cfg_options=options)


@pytest.mark.parametrize('verb', ['train', 'test'])
def test_the_command_ends_with_one_paragraph(verb):
    done = CliRunner().invoke(main, [verb, 'missing.py', 'missing.pth'][: 2 + (verb == 'test')])
    assert str(done.exception).startswith("error: There is no config at 'missing.py'.")


def test_evaluation_wants_something_trained_and_a_known_output(recipe, trained, tmp_path):
    for arguments, message in (
        (dict(checkpoint=tmp_path / 'a.pth'), 'There is no checkpoint at'),
        (dict(checkpoint=trained.checkpoint, out='table.csv'), 'a .pkl .* or a .json'),
    ):
        with pytest.raises(MMLGDError, match=message):
            mmlgd.test(recipe, **arguments, work_dir=tmp_path)


def test_the_validation_set_stands_in_for_a_missing_test_set(recipe, trained, tmp_path):
    cfg = Config.fromfile(recipe)
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    with_its_own = mmlgd.test(recipe, trained.checkpoint, work_dir=tmp_path / 'own')
    assert mmlgd.test(cfg, trained.checkpoint, work_dir=tmp_path / 'val') == pytest.approx(with_its_own)
    cfg.val_dataloader = cfg.val_evaluator = None
    with pytest.raises(ConfigError, match='neither a test set nor a validation set'):
        mmlgd.test(cfg, trained.checkpoint, work_dir=tmp_path / 'none')


DENSE = dict(
    mmdet="""
        default_scope = 'mmdet'
        pipeline = [
            dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
            dict(type='Resize', scale=(64, 64)), dict(type='PackDetInputs')]
        dataset = dict(
            type='CocoDataset', data_root='WORLD', ann_file='scenes/train.json', data_prefix=dict(img='scenes/train'),
            metainfo=dict(classes=CLASSES), pipeline=pipeline)
        model = dict(
            type='RetinaNet', data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32),
            backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8, out_indices=(2, 3)),
            neck=dict(type='FPN', in_channels=[32, 64], out_channels=16, num_outs=2),
            bbox_head=dict(
                type='RetinaHead', num_classes=len(CLASSES), in_channels=16, feat_channels=16, stacked_convs=1,
                anchor_generator=dict(
                    type='AnchorGenerator', octave_base_scale=4, scales_per_octave=1, ratios=[1.0], strides=[16, 32]),
                bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
                loss_cls=dict(type='FocalLoss', use_sigmoid=True), loss_bbox=dict(type='L1Loss')),
            train_cfg=dict(
                assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0),
                sampler=dict(type='PseudoSampler'), allowed_border=-1, pos_weight=-1, debug=False),
            test_cfg=dict(nms_pre=10, min_bbox_size=0, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5),
                          max_per_img=10))
        """,
    mmseg="""
        default_scope = 'mmseg'
        pipeline = [
            dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
        dataset = dict(
            type='BaseSegDataset', data_root='WORLD', img_suffix='.png', seg_map_suffix='.png',
            data_prefix=dict(img_path='scenes/train', seg_map_path='scenes/masks/train'),
            metainfo=dict(classes=('background', *CLASSES)), pipeline=pipeline)
        model = dict(
            type='EncoderDecoder', pretrained=None,
            data_preprocessor=dict(type='SegDataPreProcessor', size=(128, 128), seg_pad_val=255),
            backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8, out_indices=(0, 1, 2, 3),
                          norm_cfg=dict(type='BN')),
            decode_head=dict(type='FCNHead', in_channels=64, in_index=3, channels=16, num_convs=1,
                             num_classes=1 + len(CLASSES), norm_cfg=dict(type='BN'),
                             loss_decode=dict(type='CrossEntropyLoss')),
            train_cfg=dict(), test_cfg=dict(mode='whole'))
        """,
)
RUNTIME = """
        train_dataloader = dict(
            batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True), dataset=dataset)
        optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.001))
        train_cfg = dict(type='IterBasedTrainLoop', max_iters=2)
        default_hooks = dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2))
        log_processor = dict(by_epoch=False)
        """


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp('world')
    write_demo_world(root, num_objects=(10, 10), num_scenes=(10, 10))
    return root


@pytest.mark.parametrize('library', sorted(DENSE))
def test_train_runs_detection_and_segmentation_configs(library, world, tmp_path, monkeypatch):
    pytest.importorskip(library)
    text = (DENSE[library] + RUNTIME).replace('WORLD', str(world)).replace('CLASSES', str(tuple(DEMO_CLASSES)))
    (tmp_path / 'config.py').write_text(dedent(text))
    monkeypatch.chdir(tmp_path)
    result = mmlgd.train('config.py')
    assert result.checkpoint.resolve() == tmp_path / 'work_dirs/config/iter_2.pth' and result.checkpoint.is_file()
    assert result.losses['loss'] > 0


def test_an_evaluation_needs_something_trained():
    result = CliRunner().invoke(main, ['test', str(ROOT / 'configs/benchmarks/classification/zero-shot_in1k.py')])
    assert "Missing argument 'CHECKPOINT'" in result.output


def test_the_terminal_has_what_is_trained_and_the_file_the_whole_config(recipe, tmp_path):
    done = CliRunner().invoke(main, ['train', str(recipe), '--work-dir', str(tmp_path / 'run')])
    assert done.exit_code == 0, done.output[-3000:]
    log = log_of(tmp_path / 'run')
    for text in ('System environment', 'Config:', 'Hooks will be executed'):
        assert text in log and text not in done.output
    for text in (
        'This run:',
        'images   12 in ',
        'names    3: ',
        'OpenCLIPTeacher',
        'losses   loss_visual, loss_textual',
        'ResNet 18, ',
        '6: 2 epochs of 3 steps',
    ):
        assert text in log and text in done.output
    assert done.output.index('This run:') < 2500 and 'FileClient' not in done.output
    arguments = ['train', str(recipe), '--work-dir', str(tmp_path / 'all'), '--cfg-options', "log_level='DEBUG'"]
    assert 'System environment' in CliRunner().invoke(main, arguments).output
