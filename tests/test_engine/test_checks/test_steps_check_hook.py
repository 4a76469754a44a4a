"""One process; what ranks tell each other is in test_ranks.py."""

import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from mmlgd.engine import StepsCheckHook
from mmlgd.errors import ConfigError
from tests.test_checkpoints.test_atomic_hook import Line


def check(loader, hub, loop=EpochBasedTrainLoop, size=64):
    warnings = []
    runner = SimpleNamespace(
        train_loop=loop.__new__(loop),
        train_dataloader=loader,
        max_epochs=2,
        iter=0,
        message_hub=hub,
        cfg=Config(dict(model=dict(backbone=dict(img_size=size)))),
        logger=SimpleNamespace(warning=warnings.append),
    )
    StepsCheckHook().before_train(runner)
    return warnings


@pytest.fixture
def hub(request):
    return MessageHub.get_instance(request.node.name)


def test_only_changed_steps_give_a_warning(hub):
    images = range(10)
    assert not check(DataLoader(images, batch_size=4, drop_last=True), hub)
    assert not check(DataLoader(images, batch_size=4, drop_last=True), hub)
    (warning,) = check(DataLoader(images, batch_size=4), hub)
    assert 'continues with 1 processes x 4 images, 3 steps' in warning and 'x 4 images, 2 steps' in warning
    (warning,) = check(DataLoader(images, batch_size=5), hub)
    assert 'x 5 images, 2 steps' in warning and 'x 4 images, 3 steps' in warning


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


def test_another_size_of_images_gives_a_warning(hub):
    assert not check(DataLoader(range(4), batch_size=2), hub)
    (warning,) = check(DataLoader(range(4), batch_size=2), hub, size=96)
    assert 'images of [96, 96] pixels, but began with [64, 64]' in warning


class Images(list):
    """A data set of files, by their names."""

    def get_data_info(self, index):
        return dict(img_path=self[index])


@pytest.mark.parametrize(
    'names, said',
    [('abcdefghij', ''), ('abcdefghijk', '11 images .*10 images'), ('abcdefghix', '10 images .*10 images')],
)
def test_other_images_give_a_warning_even_if_steps_are_equal(hub, names, said):
    assert not check(DataLoader(Images('abcdefghij'), batch_size=5, drop_last=True), hub)
    warnings = check(DataLoader(Images(names), batch_size=5, drop_last=True), hub)
    assert len(warnings) == bool(said)
    for warning in warnings:
        assert re.search(f'other images: {said}', warning)


def test_an_old_checkpoint_without_images_gives_no_warning(hub):
    hub.update_info('mmlgd_steps', dict(processes=1, batch=5, steps=2))
    assert not check(DataLoader(Images('abcdefghij'), batch_size=5), hub)
    assert len(check(DataLoader(Images('abcdefghik'), batch_size=5), hub)) == 1


def train(work_dir, epochs, t_max, resume=None, optimizer=None, **cosine):
    """Two steps per epoch."""
    dataset = [dict(inputs=torch.ones(1))] * 2
    loader = dict(
        dataset=dataset, batch_size=1, sampler=dict(type='DefaultSampler'), collate_fn=dict(type='default_collate')
    )
    runner = Runner(
        Line(),
        str(work_dir),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(dict(type='SGD', lr=0.01), **(optimizer or {}))),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, begin=0, end=1, convert_to_iter_based=True),
            dict(type='CosineAnnealingLR', T_max=t_max, begin=1, end=1 + t_max, convert_to_iter_based=True, **cosine),
        ],
        custom_hooks=[StepsCheckHook()],
        experiment_name=f'{work_dir}{epochs}{t_max}{cosine}{optimizer}',
        resume=resume is not None,
        load_from=resume and str(resume),
    )
    warnings = []
    runner.logger.warning = lambda message, *details: warnings.append(message)
    runner.train()
    return [warning for warning in warnings if 'This run' in warning]


@pytest.mark.usefixtures('loads_safely')
def test_a_schedule_that_would_not_be_followed_is_refused(tmp_path):
    train(tmp_path, 2, 1)
    file = tmp_path / 'epoch_2.pth'
    said = r'param_scheduler\[1\]\.T_max is 2 in the checkpoint and 8 in the config.*load_from=.*epoch_2.pth'
    with pytest.raises(ConfigError, match=said):
        train(tmp_path, 5, 4, file)
    with pytest.raises(ConfigError, match=r'param_scheduler\[1\]\.eta_min is 0\.0 .* and 0\.1 in'):
        train(tmp_path, 3, 1, file, eta_min=0.1)
    (warning,) = train(tmp_path, 3, 1, file)
    assert 'now ends after 3 epochs, but began with 2' in warning and 'last learning rate' in warning
    assert not train(tmp_path, 3, 1, tmp_path / 'epoch_3.pth')


@pytest.mark.usefixtures('loads_safely')
def test_settings_of_the_optimizer_that_would_not_be_followed_are_refused(tmp_path):
    train(tmp_path, 2, 1)
    file = tmp_path / 'epoch_2.pth'
    for settings, said in ((dict(lr=1), 'initial_lr is 0.01 in .* and 1 in'), (dict(momentum=0.9), 'momentum is 0')):
        with pytest.raises(ConfigError, match=rf'optimizer\.param_groups\[0\]\.{said}.*load_from='):
            train(tmp_path, 2, 1, file, settings)


@pytest.mark.usefixtures('loads_safely')
def test_a_checkpoint_of_before_is_compared_too(tmp_path):
    train(tmp_path, 2, 1)
    checkpoint = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
    del checkpoint['message_hub']['runtime_info']['mmlgd_steps']
    torch.save(checkpoint, tmp_path / 'old.pth')
    with pytest.raises(ConfigError, match=r'T_max'):
        train(tmp_path, 5, 4, tmp_path / 'old.pth')
