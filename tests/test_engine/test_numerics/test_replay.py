"""Files that claim to be a broken step: each is run again, or its fault is named."""

import copy

import pytest
import torch

from mmlgd.checkpoints import CheckpointError
from mmlgd.engine.numerics.replay import replay_step
from mmlgd.engine.numerics.step_record import StepRecord
from mmlgd.models import Embedded
from mmlgd.registry import MODELS

pytestmark = pytest.mark.usefixtures('mmpretrain_scope')


@pytest.fixture(scope='module')
def model(lgd_model):
    return MODELS.build(copy.deepcopy(lgd_model))


@pytest.fixture(scope='module')
def step(model, lgd_model, tmp_path_factory):
    """A step of two images as a run keeps it."""
    file = tmp_path_factory.mktemp('step') / 'broken_steps/iter_1_rank_0.pth'
    record = StepRecord(model)
    record.start(epoch=0, batch=0, iter=0)
    record.see_inputs(dict(inputs=torch.randn(2, 3, 64, 64), data_samples=[dict(img_path='a.jpg')] * 2))
    record.see_outputs(Embedded(torch.eye(32)[:2]), Embedded(torch.eye(32)[:2]), dict(loss_visual=torch.tensor(1.0)))
    config = f"model = {lgd_model!r}\noptim_wrapper = dict(type='OptimWrapper')\n"
    record.save(file, model.state_dict(), dict(cfg=config), ['student'])
    return file


def lacking(name, of_step=True):
    return lambda content: (content['step'] if of_step else content).pop(name)


def having(**values):
    return lambda content: content['step'].update(values)


def with_weight(value):
    return lambda content: content['state_dict'].update({'neck.mlp.2.bias': value})


def of_config(old, new):
    def change(content):
        assert old in content['meta']['cfg']
        content['meta']['cfg'] = content['meta']['cfg'].replace(old, new)

    return change


MALFORMED = {
    'no step': (lacking('step', of_step=False), 'not a saved training step'),
    'a step that is none': (lambda content: content.update(step=[1]), 'lacks .*step.inputs'),
    'no weights': (lacking('state_dict', of_step=False), 'lacks state_dict'),
    'a weight less': (lambda content: content['state_dict'].pop('neck.mlp.2.bias'), 'cannot run: .*Missing key'),
    'a weight of another shape': (with_weight(torch.ones(3)), 'cannot run: .*size mismatch for neck'),
    'a word for a weight': (with_weight('x'), 'cannot run'),
    'no config': (lacking('meta', of_step=False), 'does not say how its model was built'),
    'no inputs': (lacking('inputs'), 'lacks step.inputs'),
    'a word for inputs': (having(inputs='x'), 'lacks step.inputs'),
    'inputs of whole numbers': (having(inputs=torch.ones(2, 3, 64, 64, dtype=torch.int64)), 'lacks step.inputs'),
    'one image alone': (having(inputs=torch.ones(3, 64, 64)), 'lacks step.inputs'),
    'four channels': (having(inputs=torch.ones(2, 4, 64, 64)), 'lacks step.inputs'),
    'no images': (having(inputs=torch.ones(0, 3, 64, 64), paths=[]), 'lacks step.inputs'),
    'sparse inputs': (having(inputs=torch.ones(2, 3, 8, 8).to_sparse()), 'holds more than weights'),
    'no random numbers': (lacking('rng'), 'lacks step.rng'),
    'random numbers of another kind': (having(rng=dict(cpu=torch.ones(5056))), 'lacks step.rng'),
    'a state of no generator': (having(rng=dict(cpu=torch.zeros(7, dtype=torch.uint8))), 'cannot run'),
    'paths of other images': (having(paths=['a.jpg']), 'has 2 images, 1 paths'),
    'numbers for paths': (having(paths=[1, 2]), 'lacks step.paths'),
    'no parts': (having(broken=None), 'lacks step.broken'),
    'no word on embeddings': (lacking('teacher_embeddings'), 'lacks step.teacher_embeddings'),
    'embeddings of another teacher': (having(teacher_embeddings=torch.ones(2, 7)), 'cannot run'),
    'places without a grid': (having(teacher_places=torch.ones(2, 7)), 'lacks step.teacher_places'),
    'places of fewer images': (having(teacher_places=torch.ones(1, 2, 2, 32)), 'and places of 1'),
    'embeddings of fewer images': (having(teacher_embeddings=torch.ones(1, 32)), '2 paths and 1 embeddings'),
    'no precision': (of_config("type='OptimWrapper'", "type='AmpOptimWrapper', dtype='load'"), 'without a precision'),
    'a wrapper that is none': (of_config("dict(type='OptimWrapper')", '[1]'), 'no valid optim_wrapper'),
}


@pytest.mark.parametrize('name', MALFORMED)
def test_the_error_names_the_fault_of_a_step_file(model, step, tmp_path, name):
    change, said = MALFORMED[name]
    content = torch.load(step, weights_only=True)
    change(content)
    torch.save(content, tmp_path / 'step.pth')
    with pytest.raises(CheckpointError, match=said):
        replay_step(tmp_path / 'step.pth', model)
    assert not model.criterion._forward_hooks


def test_the_step_itself_runs_and_another_model_is_refused(model, step, tmp_path):
    assert replay_step(step, model).recorded == ['student']
    with pytest.raises(CheckpointError, match='a Linear cannot run: give an LGD model'):
        replay_step(step, torch.nn.Linear(2, 2))
    content = torch.load(step, weights_only=True)
    content['meta']['cfg'] = "model = dict(type='mmpretrain.ResNet', depth=18)"
    torch.save(content, tmp_path / 'step.pth')
    with pytest.raises(CheckpointError, match='names .mmpretrain.ResNet. as its model'):
        replay_step(tmp_path / 'step.pth')


def test_the_other_gpus_of_a_machine_are_left_alone(model, step, monkeypatch):
    """torch would ask each of them for the state of its generator, and start it for that."""
    asked = []
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 4)
    monkeypatch.setattr(torch.cuda, 'get_rng_state', lambda device: asked.append(device) or torch.get_rng_state())
    monkeypatch.setattr(torch.cuda, 'set_rng_state', lambda state, device='cuda': None)
    replay_step(step, model)
    assert len(asked) < 2
