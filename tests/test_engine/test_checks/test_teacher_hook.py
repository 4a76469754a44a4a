"""The teacher's answers before the first step: what is measured, what is said, and what stays as it was."""

import random
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from mmengine.dataset import default_collate
from mmengine.optim import OptimWrapper
from mmpretrain.structures import DataSample

from mmlgd.engine import TeacherCheckHook
from mmlgd.engine.checks.teacher_hook import SAMPLE, names_told_apart
from mmlgd.models import Embedded
from mmlgd.registry import MODELS


@given(seed=st.integers(0, 10**6), n=st.integers(1, 20), k=st.integers(2, 12), sharpness=st.floats(0, 30))
def test_it_is_a_number_of_names(seed, n, k, sharpness):
    scores = (sharpness * torch.randn(n, k, generator=torch.Generator().manual_seed(seed))).softmax(1)
    assert 1 <= names_told_apart(scores) <= min(n, k) * (1 + 1e-4)
    assert names_told_apart(scores[:1].expand(n, k)) == pytest.approx(1, abs=1e-4)


def test_names_between_which_it_wavers_count_once():
    assert names_told_apart(torch.eye(3).repeat(4, 1)) == pytest.approx(3)
    assert names_told_apart(torch.eye(3).repeat_interleave(2, dim=1).repeat(4, 1) / 2) == pytest.approx(3)


@pytest.fixture
def model(lgd_config):
    model = MODELS.build(lgd_config)
    model.textual_bank.bank.copy_(torch.eye(5, 32))  # names of random towers lie close together
    return model


class Views(torch.utils.data.Dataset):
    """Random images; with embeddings, as from a store."""

    def __init__(self, images, embeddings=None):
        self.images, self.embeddings = images, embeddings

    def __len__(self):
        return self.images

    def __getitem__(self, k):
        sample = dict(inputs=torch.from_numpy(np.random.randint(0, 256, (3, 64, 64))).byte(), data_samples=DataSample())
        return sample if self.embeddings is None else dict(sample, teacher_embeddings=self.embeddings[k].half())


def said(model, dataset, batch_size=64):
    """Run the hook; return the level of its one line, and the line."""
    loader = torch.utils.data.DataLoader(dataset, batch_size, collate_fn=default_collate)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    logger = Mock()
    TeacherCheckHook().before_train(
        SimpleNamespace(model=model, train_dataloader=loader, optim_wrapper=wrapper, logger=logger)
    )
    lines = [(call[0], call[1][0]) for call in logger.method_calls]
    return lines[0] if lines else None


def stored(model, names):
    """Embeddings that are those of class names."""
    return Views(len(names), model.textual_bank.bank[torch.as_tensor(names)])


def test_a_teacher_that_tells_names_apart_is_reported(model):
    level, text = said(model, stored(model, [k % 5 for k in range(100)]), batch_size=32)
    assert level == 'info' and 'tells 5.0 of 5 class names apart on 96 views' in text


def test_a_teacher_that_always_says_the_same_is_a_warning(model):
    level, text = said(model, stored(model, [2] * SAMPLE))
    assert level == 'warning' and '1.0 of 5 class names apart on 128 views' in text
    assert "'red panda', for 100 %" in text and 'This helps: images cropped' in text


def test_the_live_teacher_answers_and_nothing_of_the_run_changes(model):
    asked = []
    answer = F.normalize(torch.ones(48, 32), dim=1)
    model.teacher.encode = lambda x, places: asked.append(len(x)) or Embedded(answer[: len(x)])
    before = {key: value.clone() for key, value in model.state_dict().items()}
    states = [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]
    level, text = said(model, Views(300), batch_size=48)
    assert level == 'warning' and asked == [48] * 3  # whole batches, as the teacher may be compiled for them
    assert [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()] == states
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    asked.clear()
    said(model, Views(10), batch_size=48)
    assert asked == [10]


@pytest.mark.parametrize('weight, size', [(1.0, 128), (0.0, 64)])
def test_it_asks_the_teacher_as_a_step_does(lgd_config, weight, size):
    """With terms on places, images have the teacher's places_size, and the image's embedding is of that pass."""
    lgd_config['teacher']['places_size'] = 128
    terms = [dict(bank='text'), dict(bank='text', on='places', weight=weight)]
    lgd_config['loss'] = dict(type='mmlgd.DistillationLoss', terms=terms)
    model = MODELS.build(lgd_config)
    seen = []
    for name in ('_encode_image', '_encode_places'):
        encode = getattr(model.teacher, name)
        setattr(model.teacher, name, lambda x, encode=encode: seen.append(x.shape[-1]) or encode(x))
    said(model, Views(4), batch_size=4)
    model(torch.rand(2, 3, 64, 64), mode='loss')
    assert seen == [size, size]


def test_a_loss_that_reads_no_names_is_left_alone(lgd_config):
    lgd_config.update(loss=dict(type='mmlgd.DistillationLoss', terms=[dict(bank='visual')]))
    assert said(MODELS.build(lgd_config), Views(4)) is None
