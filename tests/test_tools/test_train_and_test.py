"""The tools, run as a user runs them: train, resume, evaluate; on mmpretrain, mmdet and mmseg configs."""

import json
import os
import re
import runpy
import subprocess
import sys
from textwrap import dedent

import pytest
import torch

from mmlgd.checkpoints import read_checkpoint
from mmlgd.demo import DEMO_CLASSES, write_demo_world
from tests import ROOT

RECIPE = ROOT / 'configs/lgd/lgd_resnet18_1xb256-coslr-200e_pictures.py'


def tool(name, *arguments, cwd):
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, str(ROOT / 'tools' / f'{name}.py'), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)


def refusal(name, *arguments):
    """The error that a tool ends with, in this process: a new one takes seconds to import the stack."""
    arguments = [str(ROOT / 'tools' / f'{name}.py'), *map(str, arguments)]
    with pytest.MonkeyPatch.context() as patch, pytest.raises((Exception, SystemExit)) as caught:
        patch.setattr(sys, 'argv', arguments)
        patch.syspath_prepend(str(ROOT / 'tools'))
        runpy.run_path(arguments[0], run_name='__main__')
    return str(caught.value)


@pytest.fixture(scope='module')
def recipe(tmp_path_factory, recipe_of):
    path = tmp_path_factory.mktemp('config') / 'mine.py'
    path.write_text(recipe_of(RECIPE))
    return path


@pytest.fixture(scope='module')
def trained(recipe, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('work')
    run = tool('train', recipe, '--work-dir', work_dir / 'run', cwd=work_dir)
    assert run.returncode == 0, run.stderr[-3000:]
    return work_dir / 'run', run.stdout + run.stderr


def test_the_log_shows_progress_and_student_beside_teacher(trained):
    _, log = trained
    assert re.search(r'Epoch\(train\) \[2\]\[3/3\].*eta: .*data_time: .*loss_visual: .*loss_textual: ', log)
    assert re.search(r'Epoch\(val\) \[2\]\[3/3\].*accuracy/top1: .*teacher_accuracy/top1: ', log)
    assert re.search(r'Epoch\(train\) \[2\]  bank/visited: .*bank/prototype_entropy: ', log)


def test_a_checkpoint_holds_the_student_and_both_banks_but_no_teacher(trained):
    work_dir, _ = trained
    state = read_checkpoint(work_dir / 'epoch_2.pth')['state_dict']
    assert {key.split('.')[0] for key in state} == {'backbone', 'neck', 'textual_bank', 'visual_bank'}
    text = state['textual_bank._extra_state']
    assert text['class_names'] == ['cat', 'dog', 'tree'] and text['teacher_id'].startswith('open_clip/')


def test_resume_continues(trained, recipe):
    work_dir, _ = trained
    options = ['--cfg-options', 'train_cfg.max_epochs=3']
    run = tool('train', recipe, '--work-dir', work_dir, '--resume', *options, cwd=work_dir)
    log = run.stdout + run.stderr
    assert run.returncode == 0, log[-3000:]
    assert 'Epoch(train) [3][1/3]' in log and 'Epoch(train) [2]' not in log
    before, after = (read_checkpoint(work_dir / f'epoch_{k}.pth')['state_dict'] for k in (2, 3))
    assert not torch.equal(before['visual_bank.bank'], after['visual_bank.bank'])
    assert torch.equal(before['textual_bank.bank'], after['textual_bank.bank'])


def test_evaluation_and_transfer_to_other_names(trained, recipe):
    work_dir, _ = trained
    out = work_dir / 'metrics.json'
    checkpoint = work_dir / 'epoch_2.pth'
    run = tool('test', recipe, checkpoint, '--out', out, '--show-dir', work_dir / 'shown', cwd=work_dir)
    assert run.returncode == 0, run.stderr[-3000:]
    assert list((work_dir / 'shown').glob('*.png'))
    assert set(json.loads(out.read_text())) == {'accuracy/top1', 'teacher_accuracy/top1'}
    names = ['--cfg-options', "model.text.vocabulary=['cow','hen','pig']"]
    assert 'model.text.transfer=True' in refusal('test', recipe, checkpoint, '--work-dir', work_dir, *names)
    run = tool('test', recipe, checkpoint, *names, 'model.text.transfer=True', cwd=work_dir)
    assert run.returncode == 0, run.stderr[-3000:]


def test_a_work_dir_in_the_folder_of_images_is_refused_before_it_is_made(recipe, pictures):
    work_dir = pictures / 'work_dirs' / 'run'
    message = refusal('train', recipe, '--work-dir', work_dir)
    assert f'The work dir {work_dir} lies in the folder of images {pictures}' in message
    assert not work_dir.parent.exists()


def test_names_that_do_not_fit_the_evaluation_set_stop_the_run_at_once(recipe, tmp_path):
    names = ['--cfg-options', "model.text.vocabulary=['cow','hen']"]
    message = refusal('train', recipe, '--work-dir', tmp_path, *names)
    assert 'has 3 classes, the vocabulary 2 names' in message
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['missing.py'], 'missing.py'),
        (['CONFIG', '--cfg-options', 'train_dataloader.dataset.data_root=/nowhere'], '/nowhere'),
        (['CONFIG', '--cfg-options', 'model.text.vocabulary=/nowhere.txt'], 'neither a file nor one of'),
    ],
)
def test_bad_input_is_named(recipe, arguments, message, tmp_path):
    arguments = [recipe if a == 'CONFIG' else a for a in arguments]
    assert message in refusal('train', '--work-dir', tmp_path, *arguments)


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
def test_train_runs_detection_and_segmentation_configs(library, world, tmp_path):
    pytest.importorskip(library)
    text = (DENSE[library] + RUNTIME).replace('WORLD', str(world)).replace('CLASSES', str(tuple(DEMO_CLASSES)))
    (tmp_path / 'config.py').write_text(dedent(text))
    run = tool('train', 'config.py', cwd=tmp_path)
    log = run.stdout + run.stderr
    assert run.returncode == 0, log[-3000:]
    assert re.search(r'Iter\(train\) \[2/2\].*loss: ', log)
    assert (tmp_path / 'work_dirs/config/iter_2.pth').is_file()


def test_an_evaluation_needs_something_trained():
    assert 'Nothing trained' in refusal('test', ROOT / 'configs/benchmarks/classification/zero-shot_in1k.py')
