import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope, init_default_scope
from mmpretrain.structures import DataSample
from safetensors.torch import load_file, save_file

from mmlgd.checkpoints import CheckpointError
from mmlgd.checkpoints.words import tensor_of, words_of
from mmlgd.errors import ConfigError
from mmlgd.models.banks import read_text_state
from mmlgd.models.zero_shot import zero_shot_scores
from mmlgd.registry import MODELS
from tests.devices import on_card
from tests.words import KEY

from .reference import enqueue, lgd_losses, lgka, seed_loss


@pytest.fixture
def model(lgd_config):
    torch.manual_seed(0)
    return MODELS.build(lgd_config).train()


def batch(n=6, size=64, seed=0):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_steps_are_the_published_steps(model):
    tsb = model.textual_bank.bank
    bank, visited = model.visual_bank.bank.clone(), model.visual_bank.visited.clone()
    for step in range(3):
        x = batch(seed=step)
        s, t = model.embed(x).detach(), model.teacher.encode_image(x)
        visual, textual = lgd_losses(s, t, tsb, bank)
        losses = model(x, mode='loss')
        assert losses['loss_visual'].item() == pytest.approx(visual, rel=1e-5)
        assert losses['loss_textual'].item() == pytest.approx(textual, rel=1e-5)
        bank, visited = lgka(bank, visited, t, tsb)  # after the losses
        torch.testing.assert_close(model.visual_bank.bank.double(), bank.double(), atol=1e-6, rtol=1e-5)
    assert set(losses) == {'loss_visual', 'loss_textual'}


SEED = dict(
    visual_bank=dict(type='mmlgd.QueueBank', size=8),
    loss=dict(student_temperature=0.05, teacher_temperature=0.01, alpha=1.0),
)


def test_steps_over_a_queue_are_those_of_seed(lgd_config):
    model = MODELS.build({**lgd_config, **SEED}).train()
    bank, visited, pointer = model.visual_bank.bank.clone(), model.visual_bank.visited.clone(), 0
    for step in range(3):
        x = batch(seed=step)
        s, t = model.embed(x).detach(), model.teacher.encode_image(x)
        losses = model(x, mode='loss')
        assert losses['loss_visual'].item() == pytest.approx(seed_loss(s, t, bank, 0.05, 0.01), rel=1e-5)
        assert losses['loss_textual'].item() == 0
        bank, visited, pointer = enqueue(bank, visited, pointer, t)  # after the losses
        torch.testing.assert_close(model.visual_bank.bank, bank)
        assert model.visual_bank.pointer == pointer == (6 * (step + 1)) % 8


def test_a_queue_beside_both_banks(lgd_config):
    lgd_config.update(queue=dict(size=8), loss=dict(queue_weight=0.5))
    model = MODELS.build(lgd_config).train()
    x, tsb = batch(), model.textual_bank.bank
    s, t = model.embed(x).detach(), model.teacher.encode_image(x)
    visual, textual = lgd_losses(s, t, tsb, model.visual_bank.bank)
    expected = dict(
        loss_visual=visual, loss_textual=textual, loss_queue=0.5 * seed_loss(s, t, model.queue.bank, 0.2, 0.01)
    )
    losses = model(x, mode='loss')
    assert {key: value.item() for key, value in losses.items()} == pytest.approx(expected, rel=1e-5)
    sum(losses.values()).backward()
    assert model.visual_bank.visited.any() and model.queue.pointer == 6
    assert {'queue.bank', 'queue.visited', 'queue.pointer'} <= set(model.state_dict())


QUEUE_TERM = dict(bank='queue', student_temperature=0.05, teacher_temperature=0.01, self_logit=True)
UNFIT = {
    'a queue that nobody reads': (
        dict(queue=dict(size=8), loss=dict(type='mmlgd.CosineLoss')),
        r'(?s)model\.queue.*CosineLoss',
    ),
    'a bank that is not there': (
        dict(loss=dict(type='mmlgd.DistillationLoss', terms=[QUEUE_TERM])),
        r"the bank 'queue', which the model lacks: it has text, visual\. Give it one, model\.queue=",
    ),
    'a bank of another name': (
        dict(loss=dict(type='mmlgd.DistillationLoss', terms=[dict(bank='visaul')])),
        r"the bank 'visaul', which the model lacks: it has text, visual\.",
    ),
    'no loss': (dict(loss=dict(type='mmlgd.QueueBank', size=3, embed_dim=8)), 'which is not a list of terms'),
}


@pytest.mark.parametrize('more, said', UNFIT.values(), ids=UNFIT)
def test_banks_that_do_not_fit_the_terms_are_refused_when_the_model_is_built(lgd_config, more, said):
    with pytest.raises(ConfigError, match=said):
        MODELS.build({**lgd_config, **more})


def test_old_checkpoints_of_seed_load_into_a_queue_of_its_own(lgd_config):
    """Their queue stands in the place of the prototypes, and still does with the config inside them."""
    old = MODELS.build({**lgd_config, **SEED}).train()
    old(batch(), mode='loss')
    state = {key: value for key, value in old.state_dict().items()}
    terms = dict(queue=dict(size=8), loss=dict(type='mmlgd.DistillationLoss', terms=[QUEUE_TERM]))
    new = MODELS.build({**lgd_config, **terms}).train()
    rows = new.visual_bank.bank.clone()
    found = new.load_state_dict(state, strict=False)
    assert not found.unexpected_keys and {key.split('.')[0] for key in found.missing_keys} == {'visual_bank'}
    assert torch.equal(new.queue.bank, old.visual_bank.bank) and new.queue.pointer == 6
    assert torch.equal(new.visual_bank.bank, rows) and 'visual_bank.pointer' in state
    assert new(batch(), mode='loss')['loss_queue'] == old(batch(), mode='loss')['loss_visual']
    assert not new.visual_bank.visited.any()  # no term reads it
    again = MODELS.build({**lgd_config, **SEED})
    again.load_state_dict(state)
    assert torch.equal(again.visual_bank.bank, state['visual_bank.bank'])


def test_scores_are_float32_under_autocast(model):
    embeddings = model.eval().embed(batch()).detach()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        scores = zero_shot_scores(embeddings, model.textual_bank.bank, 0.01)
    torch.testing.assert_close(scores, zero_shot_scores(embeddings, model.textual_bank.bank, 0.01), atol=0, rtol=0)


@pytest.mark.parametrize('loss', [dict(alpha=0.0), dict(type='mmlgd.CosineLoss')], ids=['class names', 'cosine'])
def test_a_bank_that_the_loss_does_not_read_is_left_alone(lgd_config, loss):
    model = MODELS.build({**lgd_config, 'loss': loss}).train()
    rows = model.visual_bank.bank.clone()
    sum(model(batch(), mode='loss').values()).backward()
    assert model.backbone.conv1.weight.grad.abs().sum() > 0
    assert torch.equal(model.visual_bank.bank, rows) and not model.visual_bank.visited.any()
    assert model.eval()(batch(2), mode='predict')[0].pred_score.shape == (5,)


@pytest.mark.parametrize('more', [{}, SEED, dict(queue=dict(size=8))], ids=['visual bank', 'queue', 'three banks'])
def test_backward_survives_the_update_of_the_banks(lgd_config, more):
    model = MODELS.build({**lgd_config, **more}).train()
    sum(model(batch(), mode='loss').values()).backward()
    assert all(p.grad is not None for p in model.neck.parameters())
    assert model.backbone.conv1.weight.grad.abs().sum() > 0


def test_nobody_meets_the_teacher(model):
    assert not any('teacher' in name for name, _ in model.named_modules())
    keys = set(model.state_dict())
    assert {key.split('.')[0] for key in keys} == {'backbone', 'neck', 'textual_bank', 'visual_bank'}
    weights = [p.clone() for p in model.teacher.parameters()]
    buffers = [b.clone() for b in model.teacher.buffers()]
    model.train()
    assert not any(module.training for module in model.teacher.modules())
    model.init_weights()
    optimizer = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=1.0)))
    in_optimizer = {id(p) for group in optimizer.param_groups for p in group['params']}
    assert in_optimizer == {id(p) for p in [*model.backbone.parameters(), *model.neck.parameters()]}
    model.train_step(dict(inputs=batch(), data_samples=[DataSample()] * 6), optimizer)
    assert all(torch.equal(a, b) for a, b in zip(weights, model.teacher.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.teacher.buffers()))


def test_a_state_dict_is_of_tensors_alone(model, tmp_path):
    """Class names too: safetensors, and whatever sends or averages a state, takes it as it is."""
    state = model.state_dict()
    save_file(state, tmp_path / 'model.safetensors')
    loaded = load_file(tmp_path / 'model.safetensors')
    assert read_text_state(loaded)['class_names'] == model.class_names
    model.load_state_dict(loaded)
    tampered = dict(loaded, **{KEY: tensor_of({**words_of(loaded[KEY]), 'class_names': ['boat', *'abcd']})})
    with pytest.raises(CheckpointError, match="Class name 0 is 'boat'"):
        model.load_state_dict(tampered)


def test_the_teacher_follows_the_device_and_a_deep_copy(model):
    model.to('meta')
    assert model.teacher.mean.device.type == model.neck.mlp[0].weight.device.type == 'meta'
    copied = copy.deepcopy(model)
    assert copied.teacher is not model.teacher


def test_predict_scores_student_and_teacher(model):
    model.eval()
    samples = model(batch(3), [DataSample().set_gt_label(k) for k in range(3)], mode='predict')
    for k, sample in enumerate(samples):
        for part in (sample, sample.teacher):
            assert part.pred_score.shape == (5,) and part.pred_score.sum().item() == pytest.approx(1)
            assert part.pred_label.item() == part.pred_score.argmax().item()
            assert part.gt_label.item() == k
        assert sample.teacher.eval_mask
    similarity = model.teacher.encode_image(batch(3)) @ model.textual_bank.bank.T
    assert [s.teacher.pred_label.item() for s in samples] == similarity.argmax(1).tolist()
    model.predict_teacher = False
    assert 'teacher' not in model(batch(2), mode='predict')[0]


@pytest.mark.parametrize('inputs', [[torch.zeros(3, 8, 8)] * 2, torch.zeros(3, 8, 8)])
def test_a_batch_that_is_none_is_refused(model, inputs):
    for mode in ('loss', 'predict'):
        with pytest.raises(ValueError, match='default_collate'):
            model(inputs, mode=mode)


def test_a_neck_that_contradicts_the_teacher_is_refused(lgd_config):
    lgd_config['neck']['out_channels'] = 1024
    with pytest.raises(ValueError, match='out_channels=1024.*32'):
        MODELS.build(lgd_config)


def test_a_single_class_name_is_warned_of(lgd_config, monkeypatch):
    told = []
    monkeypatch.setattr('mmlgd.models.lgd.print_log', lambda text, *arguments: told.append(text))
    lgd_config['text']['vocabulary'] = ['cat']
    MODELS.build(lgd_config)
    assert sum('a single class name the textual loss is a constant 0' in text for text in told) == 1


def test_a_neck_that_contradicts_the_backbone_is_refused(lgd_config):
    lgd_config['neck']['in_channels'] = 512
    with pytest.raises(ValueError, match='64 channels.*in_channels=512'):
        MODELS.build(lgd_config)(batch(), mode='loss')


STUDENTS = [
    (dict(type='mmpretrain.ResNet', depth=34), 512),
    (dict(type='mmpretrain.ResNet', depth=50), 2048),
    (dict(type='mmpretrain.MobileNetV2', out_indices=(7,)), 1280),
    (dict(type='mmpretrain.MobileNetV3', arch='small'), 576),
    (dict(type='mmpretrain.EfficientNet', arch='b0'), 1280),
    (dict(type='mmpretrain.VisionTransformer', arch='deit-t', img_size=64), 192),
    (dict(type='mmpretrain.TIMMBackbone', model_name='mobilenetv3_small_050', features_only=True), 288),
]


@pytest.mark.parametrize('backbone, channels', STUDENTS, ids=lambda v: v['type'] if isinstance(v, dict) else '')
def test_students(lgd_config, backbone, channels):
    model = MODELS.build({**lgd_config, 'backbone': backbone, 'neck': {}})
    assert model.neck.in_channels == channels
    losses = model.train()(batch(2), mode='loss')
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmseg'])
def test_builds_from_every_scope(lgd_config, scope):
    pytest.importorskip(scope)
    before = DefaultScope.get_current_instance()
    try:
        init_default_scope(scope)
        assert type(MODELS.build(lgd_config)).__name__ == 'LGD'
    finally:
        if before is not None:
            init_default_scope(before.scope_name)


@on_card
def test_the_card_agrees_with_the_cpu(model, device):
    expected = model(batch(), mode='loss')
    model.visual_bank.__init__(5, 32)
    losses = model.to(device)(batch().to(device), mode='loss')
    for key, value in expected.items():
        torch.testing.assert_close(losses[key].cpu(), value, rtol=1e-3, atol=1e-3)


def test_channels_last_changes_nothing_but_memory(lgd_config):
    inputs = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    losses = []
    for channels_last in (False, True):
        torch.manual_seed(0)
        model = MODELS.build(dict(copy.deepcopy(lgd_config), channels_last=channels_last)).train()
        losses.append(model.loss(inputs))
    assert model.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-5)
