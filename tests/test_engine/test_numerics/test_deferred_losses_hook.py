from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.logging import MessageHub

from mmlgd.engine import DeferredLossesHook
from tests.devices import NoWaiting
from tests.pretended_card import pretended_card

STEPS, EPOCH = 14, 7


def run(hook, name, interval, watched):
    """Fourteen steps in two epochs; returns what the logger would find at each of its lines."""
    hub = MessageHub.get_instance(name)
    runner = SimpleNamespace(
        hooks=[LoggerHook(interval=interval)],
        message_hub=hub,
        train_dataloader=type('Loader', (), dict(__len__=lambda self: EPOCH, dataset=None))(),
        epoch=0,
        iter=0,
        max_epochs=2,
        max_iters=STEPS,
    )
    hook.before_train(runner)
    found = []
    for step in range(STEPS):
        batch_idx = step % EPOCH
        losses = dict(loss=torch.tensor(float(step)), loss_visual=torch.tensor(step / 2))
        logs = (batch_idx + 1) % interval == 0 or batch_idx == EPOCH - 1
        if watched and not logs:
            with NoWaiting():
                hook.after_train_iter(runner, batch_idx, None, losses)
        else:
            hook.after_train_iter(runner, batch_idx, None, losses)
        if logs:
            found.append({key: value.data[0].tolist() for key, value in hub.log_scalars.items()})
    hook.after_train(runner)
    return found


@pytest.mark.parametrize('interval', [1, 3, 50])
def test_the_logger_finds_what_mmengine_would_have_kept(interval):
    ours = run(DeferredLossesHook(), f'ours {interval}', interval, watched=True)
    assert ours == run(RuntimeInfoHook(), f'theirs {interval}', interval, watched=False)
    assert ours[-1]['train/loss'] == [float(step) for step in range(STEPS)]


def test_a_loss_of_the_host_is_logged_beside_those_of_the_card():
    """mmpretrain's head for several tasks has one for the size of a mask."""
    hub = MessageHub.get_instance('both')
    runner = SimpleNamespace(hooks=[LoggerHook(interval=1)], message_hub=hub, train_dataloader=[0], cfg=None)
    hook = DeferredLossesHook()
    hook._kept, hook._interval = [], 1
    with pretended_card() as card:
        losses = dict(mask_size=torch.tensor(3.0), loss=torch.tensor(2.0, device='cuda'))
        card.waits.clear()
        hook.after_train_iter(runner, 0, None, losses)
        assert [what for what, _ in card.waits] == ['a copy to the card', 'tolist']
    assert [hub.get_scalar(f'train/{name}').current() for name in losses] == [3.0, 2.0]
