"""Dense LGD: terms on places, their draw, and the queue of places."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

import mmlgd
from mmlgd import BankRows, DistillationLoss
from mmlgd.checkpoints import read_checkpoint
from mmlgd.errors import ConfigError
from mmlgd.models import Embedded
from mmlgd.models.teachers.base import TeacherError
from mmlgd.registry import MODELS
from tests.devices import compiled_on_card

from .reference import bilinear, enqueue, lgd_losses, place_losses, regression, seed_loss, similarity
from .test_step import batch as raw_batch
from .test_step import step_without_waiting

SHARP = dict(student_temperature=0.05)
NAMES = dict(bank='text', on='places', weight=0.75, teacher_temperature=0.0125, **SHARP)
LATEST = dict(bank='place_queue', on='places', teacher_temperature=0.01, self_logit=True, **SHARP)
IMAGES = [
    dict(bank='text', weight=0.75, teacher_temperature=0.0125, **SHARP),
    dict(bank='queue', teacher_temperature=0.01, self_logit=True, **SHARP),
]
OTHERS = [
    dict(type='mmlgd.RegressionTerm', on='places', places=5),
    dict(type='mmlgd.SimilarityTerm'),
    dict(type='mmlgd.CosineTerm', on='places', weight=0.5, places=9),
    dict(bank='visual', on='places', self_logit=True, places=7, **SHARP),
]


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def batch(n=4, size=64, seed=0):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def dense(config, places=9, more=(), **changes):
    terms = [*IMAGES, *(dict(term, places=places) for term in (NAMES, LATEST)), *more]
    config.update(queue=dict(size=8), place_queue=dict(size=11), loss=dict(type='mmlgd.DistillationLoss', terms=terms))
    config.update(changes)
    return config


@pytest.fixture
def model(lgd_config):
    torch.manual_seed(0)
    return MODELS.build(dense(lgd_config, more=OTHERS)).train()


def embedded(model, x):
    """What student and teacher say of a batch, in training mode."""
    feats = model.extract_feat(x)
    places = model.places(feats, model.backbone, model.neck, x.shape[-2:])
    return Embedded(model.neck(feats).detach(), places.detach()), model.teacher.encode(x, places=True)


def test_steps_are_those_of_the_reference(model):
    """All terms on places, which the reference brings to the grid and picks one by one."""
    tsb = model.textual_bank.bank
    place_queue = model.place_queue.bank.clone(), model.place_queue.visited.clone(), 0
    for step in range(3):
        x = batch(seed=step)
        s, t = embedded(model, x)
        assert s.places.shape == t.places.shape == (4, 2, 2, 32)
        torch.manual_seed(step)
        picks = torch.randperm(16)[:9]
        names, latest = place_losses(s.places, t.places, picks, tsb, place_queue[0])
        sp, tp = s.places.flatten(0, 2)[picks], t.places.flatten(0, 2)[picks]
        expected = dict(
            loss_textual=lgd_losses(s.image, t.image, tsb, tsb, 0.05, 0.0125, alpha=0.25)[1],
            loss_queue=seed_loss(s.image, t.image, model.queue.bank, 0.05, 0.01),
            loss_place_textual=names,
            loss_place_queue=latest,
            loss_place_regression=regression(sp[:5], tp[:5]),
            loss_place_similarity=similarity(s.places.flatten(1, 2), t.places.flatten(1, 2)),
            loss_place_cosine=0.5 * (1 - (sp * tp).sum(-1)).mean().item(),
            loss_place_visual=seed_loss(sp[:7], tp[:7], model.visual_bank.bank, 0.05, 0.01),
        )
        torch.manual_seed(step)
        losses = {name: value.item() for name, value in model(x, mode='loss').items()}
        assert losses == pytest.approx(expected, rel=1e-4, abs=1e-6)
        place_queue = enqueue(*place_queue, tp)  # after the losses
        torch.testing.assert_close(model.place_queue.bank, place_queue[0])
        assert model.place_queue.pointer == place_queue[2] == 9 * (step + 1) % 11


@settings(max_examples=20)
@given(
    n=st.integers(1, 3),
    grids=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    places=st.integers(1, 60),
    seed=st.integers(0, 10**6),
)
def test_terms_of_any_grids_are_those_of_the_reference(n, grids, places, seed):
    h, w, th, tw = grids
    s, t = (Embedded(unit(n, 6, seed=seed), unit(n, *grid, 6, seed=seed + 1)) for grid in ((h, w), (th, tw)))
    tsb, queue = unit(3, 6, seed=seed + 2), unit(5, 6, seed=seed + 3)
    loss = DistillationLoss([dict(NAMES, places=places), LATEST, dict(type='mmlgd.SimilarityTerm')])
    t = t.draw(loss.places)
    assert loss.places == max(places, 1024) and sorted(t.rows.tolist()) == list(range(n * th * tw))
    losses = loss(s, t, dict(text=BankRows(tsb), place_queue=BankRows(queue)))
    names, _ = place_losses(s.places, t.places, t.rows[:places], tsb, queue)
    _, latest = place_losses(s.places, t.places, t.rows, tsb, queue)
    assert losses['loss_place_textual'].item() == pytest.approx(names, rel=1e-3, abs=1e-4)
    assert losses['loss_place_queue'].item() == pytest.approx(latest, rel=1e-3, abs=1e-4)
    moved = torch.stack([bilinear(one, th, tw) for one in s.places]).flatten(1, 2)
    expected = similarity(moved, t.places.flatten(1, 2))
    assert losses['loss_place_similarity'].item() == pytest.approx(expected, rel=1e-3, abs=1e-4)


@settings(max_examples=20)
@given(shape=st.tuples(*[st.integers(1, 5)] * 3), count=st.integers(1, 80), seed=st.integers(0, 10**6))
def test_a_draw_is_without_replacement_and_follows_the_generator(shape, count, seed):
    t = Embedded(unit(shape[0], 4), unit(*shape, 4))
    torch.manual_seed(seed)
    drawn = t.draw(count)
    rows = drawn.rows.tolist()
    total = shape[0] * shape[1] * shape[2]
    assert len(rows) == len(set(rows)) == min(count, total) and set(rows) <= set(range(total))
    assert torch.equal(drawn.drawn_places(), t.places.reshape(-1, 4)[rows])
    torch.manual_seed(seed)
    assert torch.equal(t.draw(count).rows, drawn.rows)


def test_the_loss_alone_draws_by_itself_and_asks_for_places():
    loss, banks = DistillationLoss([dict(NAMES, places=3)]), dict(text=BankRows(unit(3, 6)))
    s, t = Embedded(unit(2, 6), unit(2, 2, 2, 6)), Embedded(unit(2, 6), unit(2, 2, 2, 6, seed=1))
    torch.manual_seed(0)
    alone = loss(s, t, banks)
    torch.manual_seed(0)
    assert alone == loss(s, t.draw(3), banks)
    with pytest.raises(ConfigError, match='loss_place_textual compare places, but the teacher comes without'):
        loss(s, t.image, banks)
    with pytest.raises(ValueError, match=r'places of the same images.*student \(1, 2, 2, 6\)'):
        loss(Embedded(s.image, s.places[:1]), t, banks)
    assert DistillationLoss([dict(NAMES, weight=0.0)])(s.image, t.image, banks) == {'loss_place_textual': 0}


def test_names_have_the_temperatures_of_the_term_on_images():
    loss = DistillationLoss([dict(NAMES, student_temperature=0.3), dict(bank='text', student_temperature=0.4)])
    assert loss.student_temperature == 0.4 and DistillationLoss([NAMES]).student_temperature == 0.05


def test_all_that_is_trained_gets_a_gradient_and_nothing_else(lgd_config):
    config = dense(lgd_config)
    config['backbone']['out_indices'] = (2, 3)
    config['places'] = dict(stages=[0, 1])
    model = MODELS.build(config).train()
    assert 'places.laterals.0.weight' in model.state_dict()
    s = model._learned(batch())
    assert s.places.shape == (4, 4, 4, 32)
    weights = [p.clone() for p in model.teacher.parameters()]
    optimizer = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.1)))
    for _ in range(2):
        optimizer.zero_grad()
        losses = model(batch(), mode='loss')
        sum(losses.values()).backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
        optimizer.step()
    assert model.places.laterals[0].weight.abs().sum() > 0
    assert all(torch.equal(a, b) for a, b in zip(weights, model.teacher.parameters()))
    assert all(p.grad is None for p in model.teacher.parameters())


def test_places_alone_train_the_student_and_leave_the_other_banks(lgd_config):
    loss = dict(type='mmlgd.DistillationLoss', terms=[LATEST])
    model = MODELS.build({**lgd_config, 'place_queue': dict(size=7), 'loss': loss}).train()
    sum(model(batch(), mode='loss').values()).backward()
    assert model.backbone.conv1.weight.grad.abs().sum() > 0
    assert set(model.read_banks) == {'place_queue'} and model.place_queue.visited.all()
    assert not model.visual_bank.visited.any()


def test_without_terms_on_places_nobody_computes_them(lgd_config, monkeypatch):
    model = MODELS.build(lgd_config).train()
    assert model.places is None and model.place_queue is None
    monkeypatch.setattr(model.teacher, '_encode_places', None)
    model(batch(), mode='loss')
    assert not any('place' in key for key in model.state_dict())


def test_places_ride_on_the_passes_that_are_paid(model):
    """One pass of the backbone, and one of the teacher: the image embedding is of the pass that gives the places."""
    calls = []
    for name, part in (('student', model.backbone), ('teacher', model.teacher.places_tower)):
        part.register_forward_hook(lambda *_, name=name: calls.append(name))
    model.teacher.image_tower.register_forward_hook(lambda *_: calls.append('images alone'))
    model(batch(), mode='loss')
    assert calls == ['student', 'teacher']


@compiled_on_card
def test_a_step_never_waits_for_the_device(lgd_config, device, compile):
    lgd_config['compile'] = lgd_config['teacher']['compile'] = compile
    model = MODELS.build(dense(lgd_config, more=OTHERS)).to(device).train()
    data = raw_batch()
    step_without_waiting(model, dict(data, inputs=data['inputs'].to(device)), device)


def test_stored_embeddings_need_stored_places(model):
    x = batch()
    t = model.teacher.encode(x, places=True)
    start = copy.deepcopy(model.state_dict())
    torch.manual_seed(0)
    live = model(x, mode='loss')
    model.load_state_dict(start)
    torch.manual_seed(0)
    stored = model(x, mode='loss', teacher_embeddings=t.image.half(), teacher_places=t.places.half())
    for name, value in live.items():
        torch.testing.assert_close(stored[name], value, rtol=1e-2, atol=1e-3)
    with pytest.raises(ConfigError, match='loss_place_textual, .* compare places, but the stored embeddings'):
        model(x, mode='loss', teacher_embeddings=t.image)


def test_a_dense_checkpoint_and_a_plain_one_load_each_other(lgd_config):
    plain = MODELS.build(copy.deepcopy(lgd_config))
    config = dense(lgd_config)
    rich = MODELS.build(config).train()
    rich(batch(), mode='loss')
    found = plain.load_state_dict(rich.state_dict(), strict=False)
    assert not found.missing_keys and {key.split('.')[0] for key in found.unexpected_keys} == {'queue', 'place_queue'}
    assert torch.equal(plain.backbone.conv1.weight, rich.backbone.conv1.weight)
    found = MODELS.build(config).load_state_dict(plain.state_dict(), strict=False)
    assert not found.unexpected_keys and {key.split('.')[0] for key in found.missing_keys} == {'queue', 'place_queue'}
    again = MODELS.build(config)
    again.load_state_dict(rich.state_dict())
    assert torch.equal(again.place_queue.bank, rich.place_queue.bank) and again.place_queue.pointer == 9


def test_what_is_published_is_the_student_without_queues(lgd_config, tmp_path):
    config = dense(lgd_config)
    config['backbone']['out_indices'] = (2, 3)
    config['places'] = dict(stages=[0, 1])
    model = MODELS.build(copy.deepcopy(config))
    meta = dict(cfg=Config(dict(default_scope='mmpretrain', model=config)).pretty_text, epoch=2, iter=6)
    torch.save(dict(meta=meta, state_dict=model.state_dict()), tmp_path / 'epoch_2.pth')
    written = mmlgd.publish(tmp_path / 'epoch_2.pth', tmp_path / 'zoo', name='dense')
    state = read_checkpoint(written.file)['state_dict']
    assert {key.split('.')[0] for key in state} == {'backbone', 'neck', 'places', 'textual_bank', 'visual_bank'}
    student = mmlgd.Student(written.file, device='cpu')
    assert student.names == model.class_names
    x = batch(2)
    torch.testing.assert_close(mmlgd.get_student(written.file)(x), mmlgd.get_student(tmp_path / 'epoch_2.pth')(x))


class Wordy(torch.nn.Module):
    """A neck that embeds whole images alone."""

    def __init__(self, in_channels, out_channels):
        super().__init__()


UNFIT = {
    'a queue that nobody reads': (
        dict(place_queue=dict(size=8), loss=dict(terms=[NAMES])),
        r'model\.place_queue is a bank that no term .* reads.*bank="place_queue"',
    ),
    'no queue': (dict(loss=dict(terms=[LATEST])), r"the bank 'place_queue', .* lacks: .*model\.place_queue=dict\(size"),
    'places that nobody compares': (dict(places=dict()), r'leave model\.places out'),
    'a student without places': (
        dict(
            backbone=dict(type='mmpretrain.VisionTransformer', arch='deit-tiny', img_size=64, out_type='cls_token'),
            neck=dict(),
            loss=dict(terms=[NAMES]),
        ),
        "VisionTransformer has no places: .*out_type='featmap'",
    ),
    'a neck without places': (dict(neck=dict(type=Wordy), loss=dict(terms=[NAMES])), 'got a Wordy'),
    'stages that are not there': (
        dict(places=dict(stages=[0, 1]), loss=dict(terms=[NAMES])),
        r'which returns 1, got stages=\[0, 1\]',
    ),
}


@pytest.mark.parametrize('more, said', UNFIT.values(), ids=UNFIT)
def test_what_does_not_fit_is_refused_when_the_model_is_built(lgd_config, more, said):
    more = copy.deepcopy(more)
    if 'loss' in more:
        more['loss']['type'] = 'mmlgd.DistillationLoss'
    with pytest.raises(ConfigError, match=said):
        MODELS.build({**lgd_config, **more})


@pytest.mark.parametrize(
    'changes',
    [
        dict(place_queue=dict(size=8), loss=dict(type='mmlgd.DistillationLoss', terms=[dict(LATEST, weight=0.0)])),
        dict(
            queue=dict(size=8),
            loss=dict(type='mmlgd.DistillationLoss', terms=[dict(bank='queue', weight=0.0), dict(bank='text')]),
        ),
        dict(queue=dict(size=8), loss=dict(queue_weight=0.0)),
        dict(places=dict(), loss=dict(type='mmlgd.DistillationLoss', terms=[dict(NAMES, weight=0.0)])),
    ],
    ids=['place queue', 'queue', 'queue of the preset', 'places'],
)
def test_a_study_may_sweep_the_weight_of_an_only_term_through_0(lgd_config, changes):
    model = MODELS.build({**lgd_config, **changes}).train()
    losses = model(batch(2), mode='loss')
    assert all(torch.isfinite(value) for value in losses.values())
    for queue in (model.queue, model.place_queue):
        assert queue is None or not queue.visited.any(), 'a bank that no term with a weight reads is not updated'


def test_a_teacher_without_places_is_refused_by_name_when_the_model_is_built(lgd_config, monkeypatch):
    monkeypatch.setattr('mmlgd.models.teachers.openclip.open_clip_places', lambda *_, **__: None)
    with pytest.raises(TeacherError, match=r'The image tower of .* has no places'):
        MODELS.build(dense(lgd_config))


STUDENTS = [
    dict(type='mmpretrain.MobileNetV2', widen_factor=0.25, out_indices=(7,)),
    dict(type='mmpretrain.VisionTransformer', arch='deit-tiny', img_size=64, out_type='raw'),
    dict(type='mmpretrain.VisionTransformer', arch='deit-tiny', img_size=64, out_type='featmap'),
    dict(type='mmpretrain.TIMMBackbone', model_name='vit_wee_patch16_reg1_gap_256', img_size=64),
    dict(type='mmpretrain.TIMMBackbone', model_name='mobilenetv3_small_050', features_only=True),
]


@pytest.mark.parametrize('backbone', STUDENTS, ids=lambda v: v['type'])
def test_students(lgd_config, backbone):
    model = MODELS.build(dense(lgd_config, backbone=backbone, neck={})).train()
    losses = model(batch(2), mode='loss')
    sum(losses.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_channels_last_changes_nothing_but_memory(lgd_config):
    losses = []
    for channels_last in (False, True):
        torch.manual_seed(0)
        model = MODELS.build(dense(copy.deepcopy(lgd_config), channels_last=channels_last)).train()
        torch.manual_seed(0)
        losses.append(model.loss(batch()))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-5)
