"""Broken numbers in real runs: where they stop, what they name, what is kept, and what a replay of it shows."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner
from mmpretrain.registry import TRANSFORMS
from safetensors.torch import load_file, save_file

from mmlgd.checkpoints import CheckpointError, read_checkpoint
from mmlgd.cli.__main__ import main
from mmlgd.datasets import pipeline_of
from mmlgd.engine import FiniteCheckHook, NonFiniteError
from mmlgd.engine.numerics.replay import replay_step
from mmlgd.registry import HOOKS, MODELS
from mmlgd.store import TeacherStore
from mmlgd.store.writer import use_store, write_store
from tests.devices import NoWaiting, on_each_device
from tests.test_models.test_step import batch, wrapper


@pytest.fixture
def cfg(recipe, tmp_path):
    """Two epochs of three steps of four images; an epoch, a checkpoint."""
    cfg = Config.fromfile(recipe)
    cfg.work_dir = str(tmp_path / 'run')
    cfg.experiment_name = str(tmp_path)  # by the second otherwise, and runs of one name share what mmengine remembers
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.train_dataloader.dataset.size = 32
    cfg.default_hooks.checkpoint.max_keep_ckpts = 1
    cfg.custom_hooks = [dict(type='mmlgd.FiniteCheckHook')]
    return cfg


PLACES = dict(type='mmlgd.DistillationLoss', terms=[dict(bank='place_queue', on='places', places=9)])


class LateCheck(FiniteCheckHook):
    """On a CPU as on a GPU: what is found is known a step later."""

    @staticmethod
    def _delay_on(device):
        return 1


class At(Hook):
    """Do something to the model just before a step."""

    priority = 'VERY_HIGH'

    def __init__(self, step, action):
        self.step, self.action = step, action

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.step:
            self.action(runner.model)


def stopped(cfg, step=None, action=None, hook=None):
    """Run until the error; returns it and the runner."""
    if hook:
        cfg.custom_hooks = []
    runner = Runner.from_cfg(cfg)
    if hook:
        runner.register_hook(hook)
    if action:
        runner.register_hook(At(step, action))
    with pytest.raises(NonFiniteError) as error:
        runner.train()
    return str(error.value), runner


def replayed(cfg, name):
    teacher = dict(model=cfg.model.teacher.model)
    return replay_step(Path(cfg.work_dir) / 'broken_steps' / f'{name}_rank_0.pth', teacher=teacher)


def all_finite(state):
    return all(value.isfinite().all() for value in state.values() if isinstance(value, torch.Tensor))


@TRANSFORMS.register_module(force=True)
class BreakPixels:
    """A NaN in the pixels of one image, in its second epoch."""

    def __init__(self, name):
        self.name, self.seen = name, 0

    def __call__(self, results):
        results['inputs'] = results['inputs'].float()
        if results['data_samples'].img_path.endswith(self.name):
            self.seen += 1
            if self.seen == 2:
                results['inputs'][0, 3, 3] = float('nan')
        return results


@on_each_device
@pytest.mark.parametrize('hook', [None, LateCheck()])
def test_a_nan_in_the_pixels_stops_the_run_before_anything_of_it_is_kept(cfg, hook, device):
    dataset = cfg.train_dataloader.dataset
    dataset.pipeline = [*pipeline_of(dataset), dict(type='BreakPixels', name='class1/7.png')]
    del cfg.default_hooks['teacher']  # it would load the image once more
    told, runner = stopped(cfg, hook=hook)
    (file,) = (Path(cfg.work_dir) / 'broken_steps').iterdir()
    step = int(file.name.split('_')[1])
    assert 4 <= step <= 6 and told.startswith(f'Step {step} (epoch 2, batch {step - 3}) has NaN')
    for text in ('student', 'teacher', 'loss_visual', 'loss_textual', 'the pixels of 1 of 4 images', 'class1/7.png'):
        assert text in told
    assert f'mmlgd replay {file}' in told and 'epoch_1.pth' in told
    assert not (Path(cfg.work_dir) / 'epoch_2.pth').exists()
    last = read_checkpoint(Path(cfg.work_dir) / 'epoch_1.pth')
    assert all_finite(last['state_dict'])
    model = runner.model
    assert model.visual_bank.bank.isfinite().all()

    kept = read_checkpoint(file)
    assert all_finite(kept['state_dict']), 'the weights are those before the step'
    if step == 4:
        for name, value in last['state_dict'].items():
            assert not isinstance(value, torch.Tensor) or torch.equal(kept['state_dict'][name], value)
    scopes = set(DefaultScope._instance_dict)
    again = replay_step(file, teacher=dict(model=cfg.model.teacher.model))
    assert set(DefaultScope._instance_dict) == scopes
    assert again.recorded == again.broken == ['teacher', 'student', 'loss_visual', 'loss_textual']
    k = next(k for k, path in enumerate(again.paths) if path.endswith('class1/7.png'))
    # Batch norm carries the student's over the batch; the teacher's stays with the image.
    assert again.teacher.isnan().any(dim=1).nonzero().flatten().tolist() == [k]
    there = kept['step']['teacher'][:k].float()
    torch.testing.assert_close(again.teacher[:k].cpu().float(), there, rtol=0, atol=0 if device == 'cpu' else 1e-2)
    assert again.gradients


def test_weights_that_diverge_are_found_in_the_student(cfg):
    cfg.optim_wrapper.optimizer.lr, cfg.param_scheduler = 1e30, None
    told, _ = stopped(cfg)
    assert told.startswith('Step 2 (epoch 1, batch 2) has NaN or Inf in the student')
    assert 'learning rate' in told and 'There is no checkpoint yet' in told and 'teacher' not in told
    again = replayed(cfg, 'iter_2')
    assert again.recorded == again.broken and 'student' in again.broken and 'teacher' not in again.broken


def overflow(model):
    """A gradient that leaves float32, once."""
    weight = model.neck.mlp[0].weight
    handle = weight.register_hook(lambda gradient: (handle.remove(), gradient * float('inf'))[1])


@pytest.mark.parametrize('hook', [None, LateCheck()])
def test_the_step_whose_gradient_breaks_the_weights_is_saved(cfg, hook):
    told, _ = stopped(cfg, 3, overflow, hook)
    assert told.startswith('Step 5') and 'neck.mlp.0.weight' in told and 'previous step broke' in told
    assert replayed(cfg, 'iter_5').broken == ['student', 'loss_visual', 'loss_textual']
    before = replayed(cfg, 'iter_4')
    assert not before.broken and not before.recorded and not before.gradients  # ours was no gradient of the model's


@pytest.mark.parametrize('by_epoch, hook', [(True, None), (False, LateCheck())])
def test_weights_that_the_last_step_breaks_reach_no_checkpoint_and_cost_none(cfg, by_epoch, hook):
    cfg.default_hooks.checkpoint.update(by_epoch=by_epoch, interval=1 if by_epoch else 3)
    told, _ = stopped(cfg, 5, overflow, hook)
    assert told.startswith('Step 6 (epoch 2, batch 3) has NaN or Inf in the weights after it')
    (left,) = Path(cfg.work_dir).glob('*.pth')  # the one that max_keep_ckpts=1 allows
    assert left.name == ('epoch_1.pth' if by_epoch else 'iter_3.pth') and str(left) in told
    assert all_finite(read_checkpoint(left)['state_dict'])
    assert replayed(cfg, 'iter_6').recorded == ['weights']


@pytest.mark.parametrize('part, bank', [('loss_textual', 'textual_bank'), ('loss_visual', 'visual_bank')])
def test_the_part_of_the_loss_is_named(cfg, part, bank):
    told, _ = stopped(cfg, 1, lambda model: getattr(model, bank).bank[0].fill_(float('nan')))
    assert told.startswith(f'Step 2 (epoch 1, batch 2) has NaN or Inf in {part}. ')
    assert f'1 tensors of the model were broken before this step, the first {bank}.bank' in told
    assert replayed(cfg, 'iter_2').broken == [part]


@pytest.mark.parametrize('value', [0.0, float('nan')])
def test_a_teacher_that_gives_nothing_is_named_with_its_images(cfg, value, tmp_path):
    """Its weights are broken in the last layer of the image half."""
    folder = Path(cfg.model.teacher.model.removeprefix('local-dir:'))
    weights = load_file(folder / 'open_clip_model.safetensors')
    for name in ('weight', 'bias'):
        weights[f'visual.attnpool.c_proj.{name}'].fill_(value)
    save_file(weights, tmp_path / 'open_clip_model.safetensors')
    (tmp_path / 'open_clip_config.json').write_text((folder / 'open_clip_config.json').read_text())
    cfg.model.teacher.model = f'local-dir:{tmp_path}'
    told, runner = stopped(cfg)
    assert told.startswith('Step 1 ') and "(or 0) in the teacher's embedding" in told and '.png' in told
    assert f'The teacher open_clip/local-dir:{tmp_path.name}/' in told and 'for 4 of 4 images' in told
    assert not runner.model.visual_bank.visited.any()
    assert 'teacher' in replayed(cfg, 'iter_1').broken


def test_a_run_without_a_fault_is_the_same_run_and_leaves_nothing(cfg):
    watched, alone = Runner.from_cfg(cfg), None
    watched.train()
    cfg.work_dir, cfg.custom_hooks, cfg.experiment_name = f'{cfg.work_dir}_alone', [], 'alone'
    alone = Runner.from_cfg(cfg)
    alone.train()
    for name, value in alone.model.state_dict().items():
        assert not isinstance(value, torch.Tensor) or torch.equal(watched.model.state_dict()[name], value)
    assert not (Path(watched.work_dir) / 'broken_steps').exists()
    assert not watched.model._forward_pre_hooks and not watched.model.criterion._forward_hooks


@pytest.mark.parametrize('more', [{}, dict(queue=dict(size=8)), dict(place_queue=dict(size=8), loss=PLACES)])
def test_watching_never_waits_for_the_device(lgd_config, more):
    lgd_config.update(more)
    model = MODELS.build(lgd_config).train()
    hook, runner = LateCheck(), SimpleNamespace(model=model, epoch=0, iter=0, hooks=[])
    hook.before_train(runner)
    optim_wrapper = wrapper(model)
    for step in range(5):
        runner.iter = step
        hook.before_train_iter(runner, step)
        with NoWaiting():
            model.train_step(batch(), optim_wrapper)
            hook.after_train_iter(runner, step)
    assert [record.place['iter'] for record in hook._steps] == [2, 3, 4]
    assert [record.examined for record in hook._steps] == [True, False, False]


@on_each_device
@pytest.mark.usefixtures('loss_scaler')
def test_gradients_that_the_loss_scaler_skips_stop_nothing(cfg, device):
    scale = dict(init_scale=2.0**60, growth_interval=1000)
    dtype = 'bfloat16' if device == 'cpu' else 'float16'  # mmengine's autocast on a CPU takes no other
    cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype=dtype, loss_scale=scale)
    Runner.from_cfg(cfg).train()


def test_a_full_disk_does_not_hide_the_fault(cfg):
    (Path(cfg.work_dir)).mkdir()
    (Path(cfg.work_dir) / 'broken_steps').write_text('a file where a folder should be')
    told, _ = stopped(cfg, 1, lambda model: model.textual_bank.bank.fill_(float('inf')))
    assert 'in loss_' in told and 'could not be saved' in told


def test_a_step_never_overwrites_a_linked_file(cfg, tmp_path):
    folder, target = Path(cfg.work_dir) / 'broken_steps', tmp_path / 'target'
    target.write_text('precious')
    folder.mkdir(parents=True)
    (folder / 'iter_1_rank_0.pth').symlink_to(target)
    stopped(cfg, 0, lambda model: model.textual_bank.bank.fill_(float('inf')))
    assert target.read_text() == 'precious' and replayed(cfg, 'iter_1').recorded


def test_the_verb_replays_and_a_checkpoint_is_no_step(cfg):
    stopped(cfg, 4, lambda model: model.neck.mlp[2].bias.data.fill_(float('inf')))
    file = Path(cfg.work_dir) / 'broken_steps/iter_5_rank_0.pth'
    with pytest.raises(CheckpointError, match='iter_5_rank_0.pth has a teacher with model='):
        replay_step(file)
    named = ['--teacher-options', f'model={cfg.model.teacher.model}']
    told = CliRunner().invoke(main, ['replay', str(file), *named]).output
    assert 'broken in the replay: student, loss_visual, loss_textual' in told and told.count('student nan') == 4
    with pytest.raises(CheckpointError, match='not a saved training step'):
        replay_step(Path(cfg.work_dir) / 'epoch_1.pth')


def test_a_replay_has_the_stored_embeddings_and_the_precision_of_the_run(cfg, tmp_path):
    init_default_scope('mmpretrain')
    write_store(cfg, tmp_path / 'store', views=2)
    use_store(cfg, tmp_path / 'store')
    stopped(cfg, 2, lambda model: model.visual_bank.bank[0].fill_(float('nan')))
    file = Path(cfg.work_dir) / 'broken_steps/iter_3_rank_0.pth'
    content = torch.load(file, weights_only=True)
    again = replay_step(file)
    assert again.broken == ['loss_visual']
    torch.testing.assert_close(again.losses['loss_textual'], content['step']['losses']['loss_textual'].item())
    stored = torch.stack([torch.from_numpy(TeacherStore(tmp_path / 'store')[row].copy()) for row in range(12)]).float()
    assert ((again.teacher @ stored.T).max(dim=1).values > 0.999).all()

    text = content['meta']['cfg']
    content['meta']['cfg'] = text.replace("type='OptimWrapper'", "type='AmpOptimWrapper', dtype='bfloat16'")
    assert content['meta']['cfg'] != text
    torch.save(content, file)
    half = replay_step(file)
    assert not torch.equal(half.student, again.student)
    assert (half.student * again.student).sum(dim=1).min() > 0.9  # unit vectors


def dense(cfg):
    """The same run with terms on places."""
    terms = [
        dict(bank='text'),
        dict(bank='text', on='places', places=9),
        dict(bank='place_queue', on='places', places=9, self_logit=True),
    ]
    cfg.model.place_queue = dict(size=11)
    cfg.model.loss = dict(type='mmlgd.DistillationLoss', terms=terms)
    cfg.train_dataloader.dataset.size = 64  # 2 x 2 places
    return cfg


def test_a_replay_draws_the_places_of_the_run(cfg):
    told, _ = stopped(dense(cfg), 4, lambda model: model.place_queue.bank[0].fill_(float('nan')))
    assert told.startswith('Step 5') and 'has NaN or Inf in loss_place_queue.' in told
    content = torch.load(Path(cfg.work_dir) / 'broken_steps/iter_5_rank_0.pth', weights_only=True)
    for _ in range(2):  # bit by bit, whatever the state of the generators
        torch.rand(3)
        again = replayed(cfg, 'iter_5')
        assert again.recorded == again.broken == ['loss_place_queue']
        for name in ('loss_textual', 'loss_place_textual'):
            assert again.losses[name] == content['step']['losses'][name].item()


@pytest.mark.parametrize('form', ['embeddings', 'names'])
def test_a_replay_has_the_places_of_the_store(cfg, form, tmp_path):
    cfg.model.queue = dict(size=7)
    terms = [dict(bank='queue', self_logit=True), dict(bank='text', on='places', places=9)]
    cfg.model.loss = dict(type='mmlgd.DistillationLoss', terms=terms)
    cfg.train_dataloader.dataset.size = 64
    live = dict(model=cfg.model.teacher.model)
    use_store(cfg, write_store(cfg, tmp_path / 'store', 1, places='own', places_form=form).folder)
    told, runner = stopped(cfg, 1, lambda model: model.queue.bank[0].fill_(float('nan')))
    assert 'has NaN or Inf in loss_queue.' in told and runner.model.teacher.live is None
    (file,) = (Path(cfg.work_dir) / 'broken_steps').iterdir()
    content = torch.load(file, weights_only=True)
    again = replay_step(file, teacher=live)
    assert again.recorded == again.broken == ['loss_queue']
    assert again.losses['loss_place_textual'] == content['step']['losses']['loss_place_textual'].item()


def test_places_without_an_embedding_are_named_with_their_image(cfg):
    def break_a_place(model):
        encode = model.teacher._encode_places

        def broken(images):
            found = encode(images)
            found.places[1, 0, 1] = 0
            return found

        model.teacher._encode_places = broken

    told, runner = stopped(dense(cfg), 1, break_a_place)
    assert "NaN or Inf (or 0) in the teacher's embeddings of places" in told
    assert 'gives a zero, NaN or Inf for 1 of 4 images' in told
    assert runner.model.place_queue.bank.norm(dim=1).min() > 0.99  # a queue takes no such row


def test_a_dense_run_that_is_resumed_is_the_run_that_never_stopped(cfg):
    cfg = dense(cfg)
    cfg.default_hooks.checkpoint.max_keep_ckpts = -1
    cfg.custom_hooks.append(dict(type='mmlgd.EMAHook', momentum=0.5))
    whole = Runner.from_cfg(cfg)
    whole.train()
    cfg.load_from, cfg.resume = str(Path(cfg.work_dir) / 'epoch_1.pth'), True
    cfg.work_dir, cfg.experiment_name = f'{cfg.work_dir}_resumed', 'resumed'
    resumed = Runner.from_cfg(cfg)
    resumed.train()
    state = resumed.model.state_dict()
    assert state['place_queue.visited'].all() and state['place_queue.pointer'] == 54 % 11
    for name, value in whole.model.state_dict().items():
        assert not isinstance(value, torch.Tensor) or torch.equal(state[name], value), name


def test_a_model_of_another_kind_is_left_alone():
    hook = HOOKS.build(dict(type='mmlgd.FiniteCheckHook'))
    runner = SimpleNamespace(model=torch.nn.Linear(2, 2), logger=MMLogger.get_instance('finite'), hooks=[])
    hook.before_train(runner)
    for call in (hook.before_train_iter, hook.after_train_iter):
        call(runner, 0)
    hook.after_train_epoch(runner)
    hook.before_save_checkpoint(runner, {})
    hook.after_train(runner)
    assert not runner.model._forward_pre_hooks


def test_infinity_in_a_buffer_that_no_checkpoint_has_is_no_fault(cfg):
    """A mask of attention holds it by right."""
    mask = torch.tensor([float('-inf')])
    runner = Runner.from_cfg(cfg)
    runner.model.register_buffer('mask', mask, persistent=False)
    assert runner.train() is runner.model and runner.iter == 6
