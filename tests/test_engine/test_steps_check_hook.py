"""One process; what ranks tell each other is in test_ranks.py."""

from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from mmlgd.engine import StepsCheckHook


def check(loader, hub, loop=EpochBasedTrainLoop):
    warnings = []
    runner = SimpleNamespace(
        train_loop=loop.__new__(loop),
        train_dataloader=loader,
        max_epochs=2,
        message_hub=hub,
        logger=SimpleNamespace(warning=warnings.append),
    )
    StepsCheckHook().before_train(runner)
    return warnings


@pytest.fixture
def hub(request):
    return MessageHub.get_instance(request.node.name)


def test_the_same_steps_are_no_news_and_others_are(hub):
    pictures = range(10)
    assert not check(DataLoader(pictures, batch_size=4, drop_last=True), hub)
    assert not check(DataLoader(pictures, batch_size=4, drop_last=True), hub)
    (warning,) = check(DataLoader(pictures, batch_size=4), hub)
    assert 'goes on with 1 processes x 4 pictures, 3 steps' in warning and 'x 4 pictures, 2 steps' in warning
    (warning,) = check(DataLoader(pictures, batch_size=5), hub)
    assert 'x 5 pictures, 2 steps' in warning and 'x 4 pictures, 3 steps' in warning


def test_the_steps_travel_with_the_checkpoint(hub):
    check(DataLoader(range(10), batch_size=4), hub)
    resumed = MessageHub.get_instance(f'{hub.instance_name} resumed')
    resumed.load_state_dict(hub.state_dict())
    assert not check(DataLoader(range(10), batch_size=4), resumed)
    assert check(DataLoader(range(10), batch_size=2), resumed)


def test_a_batch_sampler_of_ones_own_and_a_run_by_iterations_pass(hub):
    batches = BatchSampler(SequentialSampler(range(10)), batch_size=3, drop_last=False)
    assert not check(DataLoader(range(10), batch_sampler=batches), hub)
    assert not check(None, hub, IterBasedTrainLoop)
