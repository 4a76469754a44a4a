import logging
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from mmlgd.datasets import keep_torch_seeds
from mmlgd.engine import EpochSeedHook
from mmlgd.utils.seeds import seed_all


def draws():
    return random.getrandbits(62), int(np.random.randint(2**62)), int(torch.randint(2**62, ()))


class Draws(torch.utils.data.Dataset):
    """What the three generators give for each image."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.tensor(draws())


def runner_of(loader, epoch, seed=0):
    loop = SimpleNamespace(dataloader=loader)
    return SimpleNamespace(
        train_loop=loop, train_dataloader=loader, epoch=epoch, seed=seed, logger=logging.getLogger('mmlgd.test')
    )


def loader_of(workers, **options):
    loader = dict(
        dataset=Draws(), batch_size=2, num_workers=workers, sampler=dict(type='DefaultSampler', shuffle=True), **options
    )
    return Runner.build_dataloader(loader, seed=0)


OURS = dict(worker_init_fn=dict(type='mmlgd.keep_torch_seeds'))


def epoch_of(loader, epoch, seed=0):
    """All that an epoch draws, as one tensor (steps, images, generators), and what is drawn in a step."""
    EpochSeedHook().before_train_epoch(runner_of(loader, epoch, seed))
    batches, steps = [], []
    for batch in loader:
        batches.append(torch.stack(batch))
        steps.append(draws())
    return torch.stack(batches), steps


@pytest.mark.parametrize('workers', [0, 2])
def test_an_epoch_draws_the_same_wherever_the_run_started(workers):
    loader = loader_of(workers, **OURS)
    unbroken = [epoch_of(loader, epoch) for epoch in range(3)]
    draws()  # a resumed run comes with another state
    resumed = epoch_of(loader_of(workers, **OURS), 2)
    assert torch.equal(resumed[0], unbroken[2][0]) and resumed[1] == unbroken[2][1]


@pytest.mark.parametrize('workers', [0, 2])
def test_no_two_images_epochs_processes_or_seeds_draw_the_same(workers):
    loader = loader_of(workers, **OURS)
    drawn = [epoch_of(loader, epoch)[0] for epoch in range(3)] + [epoch_of(loader, 0, seed=1)[0]]
    for generator in range(3):
        values = torch.stack(
            [epoch[..., generator, :] if epoch.ndim == 4 else epoch[..., generator] for epoch in drawn]
        )
        assert len(values.unique()) == values.numel()


def test_mmengines_own_seeds_draw_the_same_in_every_epoch():
    """The reason for our own; where this fails, they may go."""
    loader = loader_of(2)
    assert torch.equal(epoch_of(loader, 0)[0], epoch_of(loader, 1)[0])


def test_ranks_draw_differently_and_each_number_counts():
    seen = set()
    for numbers in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 2)]:
        seed_all(*numbers)
        seen |= {draws()}
    assert len(seen) == 5


def test_the_order_of_the_images_follows_the_epoch():
    loader = loader_of(0)
    EpochSeedHook().before_train_epoch(runner_of(loader, 5))
    assert loader.sampler.epoch == 5


@pytest.mark.parametrize(
    'workers, options, said',
    [
        (0, {}, ''),
        (2, OURS, ''),
        (2, {}, 'no worker_init_fn'),
        (2, dict(OURS, persistent_workers=True), 'persistent_workers=True'),
    ],
)
def test_a_loader_with_other_seeds_is_reported(workers, options, said, caplog):
    with caplog.at_level(logging.WARNING, 'mmlgd.test'):
        EpochSeedHook().before_train(runner_of(loader_of(workers, **options), 0))
    assert said in caplog.text if said else not caplog.text


def test_the_function_takes_what_mmengine_adds():
    assert keep_torch_seeds(3, _scope_='mmlgd') is None
