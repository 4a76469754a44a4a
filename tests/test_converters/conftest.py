"""Full-width students with random weights, as training leaves them."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import nn

from mmlgd.registry import MODELS

# The size of its images: what is converted is compared at it.
SMALL = dict(dataset=dict(pipeline=[dict(type='mmpretrain.RandomResizedCrop', scale=64)]))
STUDENTS = dict(
    resnet18=(dict(type='mmpretrain.ResNet', depth=18, out_indices=(3,), norm_eval=False), 512),
    mobilenetv2=(dict(type='mmpretrain.MobileNetV2', widen_factor=1.0, out_indices=(7,)), 1280),
)


@pytest.fixture(scope='session')
def write_student(tmp_path_factory):
    """Write a checkpoint of any student, as training leaves it; with other parts of its model or settings beside it."""

    def write(backbone, channels=0, beside=None, **parts):
        torch.manual_seed(0)
        student = live(MODELS.build(dict(copy.deepcopy(backbone), _scope_='mmpretrain')))
        state = {f'backbone.{key}': value for key, value in student.state_dict().items()}
        model = dict(type='mmlgd.LGD', backbone=backbone, neck=dict(in_channels=channels), **parts)
        if channels:
            neck = MODELS.build(dict(type='mmlgd.ProjectionNeck', in_channels=channels, out_channels=32))
            state.update({f'neck.{key}': value for key, value in neck.state_dict().items()})
            state['textual_bank.bank'] = F.normalize(torch.randn(3, 32), dim=1)
            state['textual_bank._extra_state'] = dict(
                class_names=['cat', 'dog', 'red panda'], templates=['a {}.'], teacher_id='open_clip/tiny'
            )
            state['visual_bank.bank'] = torch.randn(3, 32)
            state['visual_bank.visited'] = torch.ones(3, dtype=torch.bool)
        config = dict(default_scope='mmpretrain', model=copy.deepcopy(model), train_dataloader=SMALL, **(beside or {}))
        config = Config(config)
        meta = dict(cfg=config.pretty_text, epoch=2, iter=6, experiment_name='lgd_tiny_8xb256_20260102_030405', seed=0)
        path = tmp_path_factory.mktemp('student') / 'epoch_2.pth'
        torch.save(dict(meta=meta, state_dict=state, optimizer=dict(state={0: torch.zeros(3)})), path)
        return path

    return write


def live(model: nn.Module) -> nn.Module:
    """Give a fresh model the batch-norm statistics of one that has been trained."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            module.num_batches_tracked.fill_(7)
    model.eval()  # not returned: some of mmpretrain's backbones return None from it
    return model


@pytest.fixture(scope='session')
def students(write_student):
    """Checkpoints of a ResNet-18 and a MobileNetV2."""
    return {name: write_student(*settings) for name, settings in STUDENTS.items()}


@pytest.fixture(scope='session')
def images():
    # Small: the features are compared, not what they are good for.
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def bad_checkpoint(students, tmp_path_factory):
    """A checkpoint with something wrong, by the name of what is."""

    def make(fault):
        path = tmp_path_factory.mktemp('bad') / 'bad.pth'
        content = torch.load(students['mobilenetv2'], weights_only=True)
        state = content['state_dict']
        if fault == 'truncated':
            path.write_bytes(students['mobilenetv2'].read_bytes()[:-1000])
            return path
        if fault == 'wrong prefix':
            content['state_dict'] = {f'student.{key}': value for key, value in state.items()}
        elif fault == 'teacher':
            content['state_dict'] = {'visual.conv1.weight': torch.zeros(1), 'token_embedding.weight': torch.zeros(1)}
        elif fault == 'incomplete':
            del state['backbone.layer4.0.conv.0.conv.weight']
        torch.save(content, path)
        return path

    return make


FAULTS = [
    ('truncated', 'cut off.*copy it again'),
    ('wrong prefix', r'no backbone\.\* weights; it has student\.\*'),
    ('teacher', 'looks like a CLIP teacher; give the checkpoint of the student'),
    ('incomplete', r'does not fit .*1 missing \(layer4\.0\.conv\.0\.conv\.weight'),
]
