"""A model whose teacher is a pair: temperatures over names follow the share, and a map of looks is one more term."""

import math

import pytest
import torch
import torch.nn.functional as F

from mmlgd import DistillationLoss, LGDLoss, SimilarityTerm
from mmlgd.errors import ConfigError
from mmlgd.models import Embedded
from mmlgd.registry import MODELS

from .test_teachers.test_conse import NAMES, PIXELS, Sentences
from .test_teachers.test_places.test_classifiers import pixelwise

pytestmark = pytest.mark.usefixtures('mmpretrain_scope')

CONSE = dict(type='mmlgd.ConSETeacher', top_k=2, class_names=NAMES, text_encoder=Sentences(), **PIXELS)
LOOKS = dict(type='mmlgd.SimilarityTerm', on='looks', weight=0.1)


def model_of(teacher, **parts):
    small = dict(
        type='mmlgd.LGD',
        backbone=dict(type='mmpretrain.ResNet', depth=18, base_channels=4, stem_channels=4),
        neck=dict(),
        teacher=teacher,
        text=dict(vocabulary=['cat', 'dog', 'tree'], templates='plain'),
    )
    return MODELS.build({**small, **parts})


def pair(looks='logits', share=0.91, **words):
    words = dict(CONSE, classifier=pixelwise(), **words)
    return dict(type='mmlgd.TeacherPair', words=words, looks=looks, looks_share=share)


def test_temperatures_over_names_follow_the_share_and_those_over_images_do_not():
    terms = [
        dict(bank='text', teacher_temperature=0.04),
        dict(bank='visual', teacher_temperature=0.02),
        dict(bank='queue', teacher_temperature=0.01),
        dict(bank='text', on='places', teacher_temperature=0.04, name='loss_p'),
        dict(bank='place_queue', on='places', teacher_temperature=0.01, name='loss_q'),
    ]
    queues = dict(queue=dict(size=4), place_queue=dict(size=4))
    loss = model_of(pair(), loss=dict(type='mmlgd.DistillationLoss', terms=terms), **queues).criterion
    found = [term.teacher_temperature for term in loss.terms]
    assert found == pytest.approx([0.04 * 0.3, 0.02 * 0.3, 0.01, 0.04 * 0.3, 0.01])
    assert loss.teacher_temperature == pytest.approx(0.012) and 'τ_T=0.012' in repr(loss)
    assert DistillationLoss([terms[3]]).names_temperature() == 0.04
    earlier = dict(CONSE, classifier=pixelwise(), visual_share=0.91)  # has scaled them itself
    for teacher in (earlier, pair(share=0.0), dict(CONSE, classifier=pixelwise())):
        assert model_of(teacher, loss=dict(teacher_temperature=0.04)).criterion.teacher_temperature == 0.04
    loss = LGDLoss(teacher_temperature=0.04, queue_teacher_temperature=0.01)
    loss.scale_names(0.5)
    loss.scale_names(0.5)  # is no further step
    assert [term.teacher_temperature for term in loss.terms] == [0.02, 0.02, 0.01]


def test_the_target_over_names_is_that_of_the_words_alone():
    """Similarities shrink with the temperature, so that the softmax stays."""
    x = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    targets = []
    for teacher in (pair(), dict(CONSE, classifier=pixelwise())):
        model = model_of(teacher, loss=dict(teacher_temperature=0.04))
        logits = model.teacher.encode_image(x) @ model.textual_bank.bank.T / model.criterion.teacher_temperature
        targets.append(logits.softmax(-1))
    torch.testing.assert_close(*targets, atol=1e-5, rtol=1e-4)


def test_a_pair_trains_with_places():
    terms = [dict(bank='text'), dict(bank='text', on='places'), dict(bank='place_queue', on='places', self_logit=True)]
    model = model_of(pair(), loss=dict(type='mmlgd.DistillationLoss', terms=terms), place_queue=dict(size=64))
    losses = model.train()(torch.rand(2, 3, 64, 64), mode='loss')
    sum(losses.values()).backward()
    assert all(value.isfinite() for value in losses.values()) and model.neck.out_channels == 131
    assert model.place_queue.visited.all()


def test_similarities_of_looks_are_one_more_term():
    terms = [dict(bank='text'), LOOKS]
    model = model_of(pair('similarity'), loss=dict(type='mmlgd.DistillationLoss', terms=terms))
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    losses = model.train()(x, mode='loss')
    t = model.teacher.encode(x, places=True).looks.flatten(1, 2)
    s = model._learned(x).places  # (2, 2, 2, 3), brought to the grid of looks
    s = F.normalize(F.interpolate(s.permute(0, 3, 1, 2), (8, 8), mode='bilinear').flatten(2).mT, dim=-1)
    q, p = ((rows @ rows.mT / 0.07).log_softmax(-1) for rows in (s, t))
    expected = 0.1 * (p.exp() * (p - q)).sum(-1).mean()
    torch.testing.assert_close(losses['loss_looks_similarity'], expected, atol=1e-5, rtol=1e-4)
    sum(losses.values()).backward()
    assert model.backbone.conv1.weight.grad.abs().max() > 0


def test_looks_are_compared_with_the_places_of_several_stages():
    backbone = dict(type='mmpretrain.ResNet', depth=18, base_channels=4, stem_channels=4, out_indices=(2, 3))
    loss = dict(type='mmlgd.DistillationLoss', terms=[dict(bank='text'), LOOKS])
    model = model_of(pair('similarity'), loss=loss, places=dict(stages=[0, 1]), backbone=backbone)
    assert model.train()(torch.rand(2, 3, 64, 64), mode='loss')['loss_looks_similarity'].isfinite()


def test_a_map_of_looks_and_its_term_go_together():
    with pytest.raises(ConfigError, match='loss_looks_similarity compare places with a map of looks.*TeacherPair'):
        model_of(pair(), loss=dict(type='mmlgd.DistillationLoss', terms=[dict(bank='text'), LOOKS]))
    with pytest.raises(ConfigError, match='No term of model.loss reads the similarities'):
        model_of(pair('similarity'))
    model_of(
        pair('similarity'), loss=dict(type='mmlgd.DistillationLoss', terms=[dict(bank='text'), {**LOOKS, 'weight': 0}])
    )
    with pytest.raises(ConfigError, match="expected on='image' or 'places', got on='looks'"):
        DistillationLoss([dict(bank='text', on='looks')])
    with pytest.raises(ConfigError, match="expected on='places' or 'looks', got on='image'"):
        SimilarityTerm(on='image')
    places = F.normalize(torch.ones(1, 2, 2, 3), dim=-1)
    with pytest.raises(ConfigError, match='but the teacher comes without'):
        DistillationLoss([LOOKS])(*[Embedded(torch.ones(1, 3) / math.sqrt(3), places)] * 2)
