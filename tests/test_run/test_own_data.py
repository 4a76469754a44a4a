"""The templates for one's own data, run as a user runs them: by options and one flag, without an edit."""

import pytest
import torch
from mmengine.registry import DefaultScope, init_default_scope

from mmlgd.checkpoints import read_checkpoint
from mmlgd.cli.__main__ import main
from mmlgd.demo import DEMO_CLASSES, write_demo_world
from mmlgd.registry import MODELS
from tests import ROOT

BENCHMARKS = ROOT / 'configs/benchmarks'
SMALL = [
    f'{loader}.{setting}'
    for loader in ('train_dataloader', 'val_dataloader')
    for setting in ('num_workers=0', 'persistent_workers=False', 'dataset.indices=4')
]


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp('world')
    write_demo_world(root / 'demo', num_objects=(10, 10), num_scenes=(10, 10), scene_size=64)
    for split in ('train', 'val'):
        for ours, theirs in (('images', 'scenes'), ('annotations', 'scenes/masks')):
            (root / 'masks' / ours).mkdir(parents=True, exist_ok=True)
            (root / 'masks' / ours / split).symlink_to(root / 'demo' / theirs / split)
    torch.manual_seed(0)
    weights = MODELS.build(dict(type='mmpretrain.MobileNetV2')).state_dict()
    state = {f'backbone.{key}': value for key, value in weights.items()}
    torch.save(dict(state_dict=state), root / 'student.pth')
    return root


@pytest.fixture
def train(world, tmp_path, monkeypatch):
    """Run ``mmlgd train`` in this process: a new one takes seconds to import the stack."""

    def run(config, *arguments, options=(), **variables):
        pytest.importorskip(config.split('/')[0])
        variables = {'names': world / 'demo/names.txt', **variables}
        options = ['--cfg-options', *SMALL, *options, *(f'{name}={value}' for name, value in variables.items())]
        command = ['train', BENCHMARKS / config, '--work-dir', tmp_path, *arguments, *options]
        main([*map(str, command)], standalone_mode=False)
        return tmp_path

    before = DefaultScope.get_current_instance()
    yield run
    if before is not None:
        init_default_scope(before.scope_name)


@pytest.fixture
def detect(train, world):
    def run(student, model='mobilenetv2', **variables):
        places = [f'{part}_dataloader.dataset.ann_file={part}.json' for part in ('train', 'val')]
        config = f'mmdet/faster-rcnn_{model}_fpn_1xb8-60e_coco-format.py'
        options = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.batch_size=2', *places]
        variables = dict(data_root=world / 'demo/scenes', image_size=64, **variables)
        return train(config, '--student', student, options=options, **variables)

    return run


@pytest.fixture
def segment(train, world):
    def run(student, model='resnet18', **variables):
        # The masks have 0 for the ground and k + 1 for name k.
        variables = dict(data_root=world / 'masks', img_suffix='.png', reduce_zero_label=True, **variables)
        variables['image_size'] = 64
        options = ['train_cfg.max_iters=1', 'train_cfg.val_interval=1', 'train_dataloader.batch_size=2']
        config = f'mmseg/deeplabv3plus_{model}_1xb8-8k_masks-512x512.py'
        return train(config, '--student', student, options=options, **variables)

    return run


def test_a_detector_on_a_student(detect, world):
    work_dir = detect(world / 'student.pth')
    state = read_checkpoint(work_dir / 'epoch_1.pth')['state_dict']
    student = read_checkpoint(world / 'student.pth')['state_dict']
    # Two steps of the warm-up are next to nothing: the weights are still the student's.
    torch.testing.assert_close(
        state['backbone.conv2.conv.weight'], student['backbone.conv2.conv.weight'], atol=1e-4, rtol=0
    )
    assert state['roi_head.bbox_head.fc_cls.weight'].shape[0] == len(DEMO_CLASSES) + 1


def test_a_segmentor_from_nothing(segment):
    work_dir = segment('none')
    state = read_checkpoint(work_dir / 'iter_1.pth')['state_dict']
    assert state['decode_head.conv_seg.weight'].shape[0] == len(DEMO_CLASSES)


def test_names_that_the_annotations_lack(detect, tmp_path):
    names = tmp_path / 'names.txt'
    names.write_text('\n'.join(('Unicorn', *DEMO_CLASSES[1:])))
    with pytest.raises(SystemExit, match=rf'train.json has .* for 9 of 10 .*: Unicorn; .*: {DEMO_CLASSES[0]}\.'):
        detect('none', names=names)


def test_fewer_names_than_mask_values(segment, tmp_path):
    names = tmp_path / 'names.txt'
    names.write_text('\n'.join(DEMO_CLASSES[:3]))
    with pytest.raises(SystemExit, match=r'The mask .*png has the values .* num_classes is 3'):
        segment('none', names=names)


def test_a_student_of_another_kind(detect, segment, world):
    for run in (detect, segment):
        with pytest.raises(SystemExit, match=r'student.pth does not fit ResNet.*depth, width and type'):
            run(world / 'student.pth', model='resnet18')
