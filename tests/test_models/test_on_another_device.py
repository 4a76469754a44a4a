"""A step of each kind of model on a card that is not there.

Hardly any of us has a card, and CI has none. There, a tensor that was left on the host stops a run at its first step,
and a step that waits for the card costs time that nobody sees. So each kind of model takes its steps on a pretended
card: what is on the host by mistake fails here, and no line of mmlgd makes the host wait between two lines of the log.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

import mmlgd
from mmlgd.models.teachers.settings import build_teacher
from mmlgd.models.zero_shot import IMAGENET_RGB
from mmlgd.registry import HOOKS, MODELS
from tests.pretended_card import CARD, HOST, pretended_card

from .test_dense import OTHERS, dense
from .test_guided.models import KINDS, batch_of, guided, settings_of
from .test_pair import CONSE
from .test_step import BANKS, batch
from .test_teachers.test_places.test_classifiers import pixelwise
from .test_teachers.tiny_towers import has_radio, has_tips, write_radio, write_tips

AMP = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=dict(enabled=False))
PLACES = dict(type='mmlgd.DistillationLoss', terms=[dict(bank='text'), dict(bank='text', on='places')])


def waits_of_a_step(model, data):
    """Where mmlgd waits for the card in a step."""
    with pretended_card() as card:
        model.to('cuda')
        if hasattr(model, 'guide'):
            model.guide.teacher.to('cuda'), model.guide._frozen.bank.to('cuda')  # as at the first step
        optimizer = dict(type='SGD', lr=0.1, momentum=0.9, fused=True)
        wrapper = build_optim_wrapper(model, dict(AMP, optimizer=optimizer))
        card.waits.clear()
        losses = model.train_step(data, wrapper)
        assert {value.device for value in losses.values()} == {CARD}
        return [one for one in card.waits if one[1]]


@pytest.mark.parametrize('banks', ['queue', 'three banks'])
def test_a_step_with_each_bank(lgd_config, banks):
    lgd_config.update(loss=dict(mask_unvisited=True), channels_last=True, **BANKS[banks])
    assert waits_of_a_step(MODELS.build(lgd_config).train(), batch()) == []


def test_a_step_with_each_term(lgd_config):
    """Of images and places, these of stages of the student and of another size of the teacher."""
    config = dense(lgd_config, more=[*OTHERS, dict(type='mmlgd.CosineTerm'), dict(type='mmlgd.RegressionTerm')])
    config['backbone']['out_indices'], config['places'] = (2, 3), dict(stages=[0, 1])
    config['teacher']['places_size'] = 96
    assert waits_of_a_step(MODELS.build(config).train(), batch()) == []


@pytest.mark.parametrize('form', ['embeddings', 'names'])
def test_a_step_from_a_store_on_augmented_images(lgd_config, form):
    pytest.importorskip('kornia', minversion='0.9')
    lgd_config['loss'] = PLACES
    pixels = dict(
        IMAGENET_RGB, type='mmlgd.PretrainDataPreprocessor', augmentation=dict(type='mmlgd.MoCoV2Augmentation')
    )
    model = MODELS.build(dict(lgd_config, data_preprocessor=pixels)).train()
    places = F.normalize(torch.randn(6, 2, 2, 32), dim=-1)
    if form == 'names':
        places = torch.stack([torch.zeros(6, 2, 2, 3), torch.full((6, 2, 2, 3), 0.3)], dim=-1)
    images = F.normalize(torch.randn(6, 32), dim=-1).half()
    assert waits_of_a_step(model, dict(batch(), teacher_embeddings=images, teacher_places=places)) == []


def test_a_step_with_a_pair(lgd_config):
    """Its statistics are measured there, too, of a class token and of places."""
    looks = dict(backbone='timm:test_vit', weights=False, image_size=64)
    pair = dict(type='mmlgd.TeacherPair', words=lgd_config['teacher'], looks=looks)
    with pretended_card():
        teacher = build_teacher(pair, 'teacher').to('cuda')
        looks['statistics'] = teacher.measured(torch.randn(16, 3, 64, 64, device='cuda').split(8))
    lgd_config.update(teacher=pair, loss=PLACES)
    assert waits_of_a_step(MODELS.build(lgd_config).train(), batch()) == []


def test_a_step_with_a_map_of_looks_of_a_classifier(lgd_config):
    words = dict(CONSE, classifier=pixelwise())
    lgd_config['teacher'] = dict(type='mmlgd.TeacherPair', words=words, looks='similarity')
    looks = dict(type='mmlgd.SimilarityTerm', on='looks')
    lgd_config['loss'] = dict(PLACES, terms=[*PLACES['terms'], looks])
    assert waits_of_a_step(MODELS.build(lgd_config).train(), batch()) == []


def tips(folder, clip):
    write_tips(folder / 'tips')
    return dict(type='mmlgd.TIPSTeacher', weights=str(folder / 'tips'), model='tiny_tipsv2')


def radio(folder, clip):
    write_radio(folder / 'radio.pth.tar', dim=32)
    words = dict(type='mmlgd.OpenCLIPTeacher', model=clip)
    return dict(type='mmlgd.RADIOTeacher', weights=str(folder / 'radio.pth.tar'), words=words, model='tiny_radio_v4')


@pytest.mark.parametrize('tower', [pytest.param(tips, marks=has_tips), pytest.param(radio, marks=has_radio)])
def test_teachers_read_names_there_and_see_images_of_any_ratio(tower, lgd_config, tiny_clip, tmp_path):
    pytest.importorskip('sentencepiece')
    lgd_config.update(teacher=tower(tmp_path, tiny_clip), loss=PLACES)
    lgd_config['text']['cache_dir'] = str(tmp_path / 'cache')
    with pretended_card():
        model = MODELS.build(lgd_config).train()
    assert waits_of_a_step(model, batch(2)) == []
    with pretended_card():
        wide = torch.randn(1, 3, 64, 128, device='cuda')
        teacher = model.teacher.to('cuda')
        assert teacher.keep_ratio()
        places = teacher.encode(wide, places=True).places
        assert places.device == CARD and places.shape[2] > places.shape[1]


@pytest.mark.parametrize('kind', ['retinanet', 'segmentor'])
def test_a_step_with_a_guide(kind, tiny_clip):
    pytest.importorskip(KINDS[kind])
    init_default_scope(KINDS[kind])
    teacher = dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip)
    model = guided(settings_of(kind), teacher, focus='objects').train()
    waits = waits_of_a_step(model, batch_of(kind))
    assert [one for one in waits if 'guided/model.py' not in one[1]] == []  # there, the plain model computes its loss


def test_predictions_wait_once_for_each_of_student_and_teacher(lgd_config):
    model = MODELS.build(lgd_config).eval()
    with pretended_card() as card:
        model.to('cuda')
        card.waits.clear()
        found = model.val_step(batch(4))
        assert [one for one in card.waits if one[1]] == [('tolist', card.waits[0][1])] * 2
        assert found[0].embedding.device == found[0].teacher.embedding.device == CARD


@HOOKS.register_module()
class CountWaits(Hook):
    """After each step, how often the host has waited for the card so far."""

    priority = 'LOWEST'
    card, counts = None, []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.counts.append([one for one in self.card.waits if one[1]])


def test_a_run_waits_at_the_lines_of_its_log_alone(recipe, tmp_path, monkeypatch):
    """All hooks of a recipe, and averaged weights; six steps, and a line at the last."""
    options = {
        'custom_hooks': [dict(type='mmlgd.EMAHook'), dict(type='mmlgd.CountWaits')],
        'default_hooks.logger.interval': 100,
        'train_dataloader.batch_size': 2,
        'train_cfg.max_epochs': 1,
        'model.compile': False,
        'model.teacher': dict(compile=False),
        **dict.fromkeys(['val_cfg', 'val_dataloader', 'val_evaluator']),
    }
    with pretended_card() as card:
        monkeypatch.setattr(CountWaits, 'card', card)
        monkeypatch.setattr(CountWaits, 'counts', [])
        mmlgd.train(recipe, work_dir=tmp_path, cfg_options=options)
        first, *between, last = CountWaits.counts
        assert len(between) == 4 and all(waits == first for waits in between) and len(last) > len(first)


MISTAKES = dict(
    sum=lambda x: x + torch.ones(2, 3),
    product=lambda x: torch.eye(2) @ x,
    joined=lambda x: torch.stack([x, torch.zeros(2, 3)]),
    numbers_of_the_host=lambda x: torch.stack([x.sum(), torch.tensor(1.0)]),
    indexed=lambda x: torch.zeros(2)[x.argmax(dim=0)],
    filled=lambda x: x.index_put_((torch.zeros(1).long().to('cuda'),), torch.ones(1, 3)),
    layer=lambda x: torch.nn.Linear(3, 3)(x),
    array=lambda x: x.numpy(),
    generator=lambda x: torch.randperm(3, device=x.device, generator=torch.Generator()),
)
WAITING = dict(
    number=lambda x: x.sum().item(),
    truth=lambda x: bool((x > 0).all()),
    listed=lambda x: x.tolist(),
    found=lambda x: x.nonzero(),
    masked=lambda x: x[x > 1],
    channels=lambda x: x[:, [2, 1, 0]],
    moved_there=lambda x: torch.zeros(3).to(x),
    moved_back=lambda x: x.cpu(),
    read_too_early=lambda x: x.to('cpu', non_blocking=True),
    made_of_numbers=lambda x: torch.tensor([1.0, 2.0], device=x.device),
    copied=lambda x: torch.zeros(2, 3).copy_(x),
)
FREE = dict(
    arithmetic=lambda x: (2 * x + torch.tensor(1.0)).softmax(dim=1),
    made_there=lambda x: torch.arange(3, device=x.device) + x.new_zeros(3),
    moved_there=lambda x: torch.zeros(3).to(x.device, non_blocking=True) + x,
    chosen=lambda x: torch.where(x > 1, x, 0.0).masked_fill(x > 2, 0)[..., 1:].flip(1),
    set_by_a_mask=lambda x: x.clone().index_put_((x > 1,), torch.tensor(0.0)),
    made_inside=lambda x: F.nll_loss(x.log_softmax(dim=1), x.argmax(dim=1)),
    copied=lambda x: copy.deepcopy(x) + torch.empty_like(x).copy_(x),
    back_and_forth=lambda x: F.linear(x.requires_grad_(), x.detach()).square().sum().backward() or x.grad + x,
)


@pytest.fixture
def card():
    with pretended_card() as card:
        yield card


@pytest.mark.parametrize('call', MISTAKES.values(), ids=MISTAKES)
def test_the_pretended_card_refuses_what_a_card_refuses(card, call):
    with pytest.raises((RuntimeError, TypeError), match='same device|cuda'):
        call(torch.arange(6.0, device='cuda').view(2, 3))


@pytest.mark.parametrize('call', WAITING.values(), ids=WAITING)
def test_the_pretended_card_notes_what_waits(card, call):
    call(torch.arange(6.0, device='cuda').view(2, 3))
    assert len(card.waits) == 1


@pytest.mark.parametrize('call', FREE.values(), ids=FREE)
def test_the_pretended_card_lets_the_rest_pass(card, call):
    found = call(torch.arange(6.0, device='cuda').view(2, 3))
    assert found.device == CARD and found.is_cuda and card.waits == []
    assert torch.ones(1).device == HOST
