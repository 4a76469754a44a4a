"""What a file says of an optimizer and its schedules: what of it reaches those of a run."""

import copy
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import CosineAnnealingLR, MultiStepLR, OneCycleLR, OptimWrapper, OptimWrapperDict
from torch import nn

from mmlgd.checkpoints.files import CheckpointError
from mmlgd.checkpoints.resume_state import check_schedules, fitted_optimizer

SGD = dict(lr=0.1, momentum=0.9, weight_decay=1e-4)


def trained(kind=torch.optim.SGD, steps=2, groups=1, **options):
    """An optimizer that has made some steps with a tensor of 4 numbers and one of 6, and its two schedules."""
    torch.manual_seed(0)
    params = [nn.Parameter(torch.randn(4)), nn.Parameter(torch.randn(2, 3))]
    split = [dict(params=params)] if groups == 1 else [dict(params=[one]) for one in params]
    wrapper = OptimWrapper(kind(split, **options))
    schedules = [CosineAnnealingLR(wrapper, 10, end=10), MultiStepLR(wrapper, [3, 7], gamma=0.5)]
    for _ in range(steps):
        wrapper.update_params(sum(param.square().sum() for param in params))
        for schedule in schedules:
            schedule.step()
    return SimpleNamespace(params=params, wrapper=wrapper, schedules=schedules)


def saved_of(run):
    return copy.deepcopy(run.wrapper.state_dict())


@pytest.mark.parametrize('groups', [1, 2])
@pytest.mark.parametrize(
    'kind, options',
    [
        (torch.optim.SGD, SGD),
        (torch.optim.SGD, dict(SGD, fused=True)),
        (torch.optim.SGD, dict(lr=0.1)),
        (torch.optim.AdamW, dict(lr=0.1, amsgrad=True)),
        (torch.optim.AdamW, dict(lr=0.1, fused=True)),
        (torch.optim.NAdam, dict(lr=0.1)),
        (torch.optim.ASGD, dict(lr=0.1)),
        (torch.optim.Rprop, dict(lr=0.1)),
        pytest.param(
            getattr(torch.optim, 'Adafactor', None),
            dict(lr=0.1),
            marks=pytest.mark.skipif(not hasattr(torch.optim, 'Adafactor'), reason='torch has none yet'),
        ),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_run(kind, options, groups):
    first, second = trained(kind, 4, groups, **options), trained(kind, 2, groups, **options)
    resumed = trained(kind, 0, groups, **options)
    for mine, theirs in zip(resumed.params, second.params):
        mine.data.copy_(theirs.data)
    saved = [schedule.state_dict() for schedule in second.schedules]
    check_schedules(saved, resumed.schedules)
    resumed.wrapper.load_state_dict(fitted_optimizer(saved_of(second), resumed.wrapper))
    for schedule, state in zip(resumed.schedules, saved):
        schedule.load_state_dict(state)
    for _ in range(2):
        resumed.wrapper.update_params(sum(param.square().sum() for param in resumed.params))
        for schedule in resumed.schedules:
            schedule.step()
    assert all(torch.equal(*pair) for pair in zip(first.params, resumed.params))


def test_settings_of_computation_come_from_the_run_and_step_sizes_from_the_file():
    run, saved = trained(**SGD, fused=True), saved_of(trained(**SGD))
    saved['param_groups'][0].update(lr=0.25, foreach=True, maximize=True, differentiable=True, evil='x' * 1000)
    fitted = fitted_optimizer(saved, run.wrapper)
    group = fitted['param_groups'][0]
    assert (group['lr'], group['fused'], group['foreach'], group['maximize']) == (0.25, True, None, False)
    assert 'evil' not in group and group['params'] == [0, 1]
    saved['param_groups'][0]['fused'] = True
    assert fitted_optimizer(saved, trained(**SGD).wrapper)['param_groups'][0]['fused'] is None


def test_loaded_states_share_no_memory():
    saved = saved_of(trained(**SGD))
    saved['state'][1]['momentum_buffer'] = torch.zeros(1).expand(2, 3)
    state = fitted_optimizer(saved, trained(**SGD, fused=True).wrapper)['state'][1]['momentum_buffer']
    assert state.is_contiguous() and state.untyped_storage().nbytes() == 6 * 4


def _entry(**entries):
    return lambda saved: saved['state'][1].update(entries)


def _group(**settings):
    return lambda saved: saved['param_groups'][0].update(settings)


def _all(**parts):
    return lambda saved: saved.update(parts)


BAD = dict(
    one_number=_entry(momentum_buffer=torch.zeros(1)),
    no_dimension=_entry(momentum_buffer=torch.zeros(())),
    too_many=_entry(momentum_buffer=torch.zeros(3, 3)),
    transposed=_entry(momentum_buffer=torch.zeros(3, 2)),
    whole_numbers=_entry(momentum_buffer=torch.zeros(2, 3, dtype=torch.int64)),
    sparse=_entry(momentum_buffer=torch.zeros(2, 3).to_sparse()),
    text=_entry(momentum_buffer='x'),
    nested=_entry(momentum_buffer=[torch.zeros(2, 3)]),
    no_entries=lambda saved: saved['state'].update({1: 5}),
    entry_without_name=lambda saved: saved['state'][1].update({5: torch.zeros(2, 3)}),
    another_parameter=lambda saved: saved['state'].update({2: {}}),
    a_name_for_a_parameter=lambda saved: saved['state'].update(x={}),
    rate_of_text=_group(lr='0.1'),
    rate_of_true=_group(lr=True),
    rate_nan=_group(lr=float('nan')),
    rate_infinite=_group(lr=float('inf')),
    rate_huge=_group(lr=10**400),
    rate_of_a_tensor=_group(lr=torch.ones(1)),
    nesterov_of_a_number=_group(nesterov=1),
    no_parameters=_group(params=None),
    fewer_parameters=_group(params=[0]),
    one_twice=_group(params=[1, 1]),
    parameters_of_text=_group(params=['0', '1']),
    other_numbers=_group(params=[3, 4]),
    more_groups=lambda saved: saved['param_groups'].append(dict(params=[])),
    groups_of_text=_all(param_groups='x'),
    a_group_of_text=_all(param_groups=['x']),
    no_groups=lambda saved: saved.pop('param_groups'),
    no_state=lambda saved: saved.pop('state'),
    state_of_a_list=_all(state=[]),
    of_several=lambda saved: saved.update(student=dict(saved)) or [saved.pop(key) for key in ('state', 'param_groups')],
)


@pytest.mark.parametrize('fused', [True, False])
@pytest.mark.parametrize('name', BAD)
def test_an_optimizer_of_another_kind_or_size_is_refused(name, fused):
    run, saved = trained(**SGD, fused=fused), saved_of(trained(**SGD))
    BAD[name](saved)
    with pytest.raises(CheckpointError, match='its optimizer is .*that this run has written'):
        fitted_optimizer(saved, run.wrapper)


@pytest.mark.parametrize('name', ['exp_avg', 'exp_avg_sq', 'max_exp_avg_sq'])
def test_only_known_scalar_states_may_be_scalars(name):
    options = dict(kind=torch.optim.AdamW, lr=0.1, amsgrad=True)
    saved = saved_of(trained(**options))
    saved['state'][0][name] = torch.zeros(())
    with pytest.raises(CheckpointError, match=rf'{name} is of shape \(\) .*a parameter of shape \(4,\)'):
        fitted_optimizer(saved, trained(**options).wrapper)
    saved['state'][0].update({name: torch.zeros(4), 'step': torch.zeros(4)[:1]})
    with pytest.raises(CheckpointError, match=r'step is of shape \(1,\)'):
        fitted_optimizer(saved, trained(**options).wrapper)


def test_settings_of_the_base_rate():
    run, saved = trained(groups=2, **SGD), saved_of(trained(groups=2, **SGD))
    saved['base_param_settings'].update(lr=0.5, params='x')
    base = fitted_optimizer(saved, run.wrapper)['base_param_settings']
    assert base['lr'] == 0.5 and torch.equal(base['params'], torch.zeros(1))
    for bad in ('x', dict(lr='x')):
        with pytest.raises(CheckpointError, match='its optimizer is'):
            fitted_optimizer(dict(saved, base_param_settings=bad), run.wrapper)


def test_several_optimizers():
    runs = [trained(**SGD), trained(**SGD)]
    own = OptimWrapperDict(student=runs[0].wrapper, bank=runs[1].wrapper)
    saved = copy.deepcopy(own.state_dict())
    assert fitted_optimizer(saved, own).keys() == {'student', 'bank'}
    saved['bank']['state'][0]['momentum_buffer'] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r'its optimizer\.bank is'):
        fitted_optimizer(saved, own)
    for others in (dict(student={}), dict(student={}, other={}), saved['bank']):
        with pytest.raises(CheckpointError, match='its optimizer is for other optimizers'):
            fitted_optimizer(others, own)
    schedules = dict(student=runs[0].schedules, bank=runs[1].schedules)
    states = {name: [one.state_dict() for one in each] for name, each in schedules.items()}
    check_schedules(states, schedules)
    for bad in (states['bank'], dict(student=states['student']), dict(states, bank='xy')):
        with pytest.raises(CheckpointError, match='its param_schedulers'):
            check_schedules(bad, schedules)


SCALER = dict(scale=2.0**16, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000, _growth_tracker=0)


@pytest.mark.parametrize('change', [dict(scale='x'), dict(scale=float('inf')), dict(_growth_tracker=None), dict(a=1)])
def test_a_scale_of_losses(change):
    run, saved = trained(**SGD), saved_of(trained(**SGD))
    run.wrapper.loss_scaler = SimpleNamespace(state_dict=lambda: SCALER)  # a real one has a state on a GPU alone
    assert 'loss_scaler' not in fitted_optimizer(dict(saved, loss_scaler={}), run.wrapper)
    scaler = dict(SCALER, scale=1024.0, _growth_tracker=7)
    assert fitted_optimizer(dict(saved, loss_scaler=scaler), run.wrapper)['loss_scaler'] == scaler
    with pytest.raises(CheckpointError, match='another loss_scaler'):
        fitted_optimizer(dict(saved, loss_scaler=dict(scaler, **change)), run.wrapper)


@pytest.mark.parametrize(
    'change',
    [
        dict(optimizer=1),
        dict(step=1),
        dict(_get_value=0.1),
        dict(last_step='3'),
        dict(last_step=float('nan')),
        dict(last_step=10**400),
        dict(base_values=[0.1] * 1000),
        dict(base_values=['0.1']),
        dict(base_values=0.1),
        dict(by_epoch='yes'),
        dict(param_name='params'),
        {5: 1},
    ],
)
def test_unknown_attributes_of_a_schedule_are_refused(change):
    run = trained(**SGD)
    saved = [copy.deepcopy(one.state_dict()) for one in run.schedules]
    saved[0].update(change)
    key = next(iter(change))
    with pytest.raises(
        CheckpointError, match=rf'param_schedulers\[0\] is .* the Cosine.*in {key if key != 5 else "a int"}'
    ):
        check_schedules(saved, run.schedules)


@pytest.mark.parametrize(
    'milestones', [[3, 7], {3: 1, 7: 1}, Counter({'3': 1}), Counter({3: 2**40}), Counter({3: 0.5})]
)
def test_steps_of_a_schedule(milestones):
    run = trained(**SGD)
    saved = [copy.deepcopy(one.state_dict()) for one in run.schedules]
    saved[1]['milestones'] = Counter({2: 1, 9: 2})
    check_schedules(saved, run.schedules)
    saved[1]['milestones'] = milestones
    with pytest.raises(CheckpointError, match='MultiStepLR of the config, in milestones'):
        check_schedules(saved, run.schedules)


def test_the_curve_of_a_schedule_comes_from_the_run():
    run = trained(**SGD)
    cycle = OneCycleLR(run.wrapper, 0.5, total_steps=10)
    saved = cycle.state_dict()
    check_schedules([saved], [cycle])
    for bad in (dict(anneal_func=OneCycleLR._annealing_linear), dict(anneal_func=None), dict(_schedule_phases=[])):
        with pytest.raises(CheckpointError, match='OneCycleLR of the config'):
            check_schedules([dict(saved, **bad)], [cycle])


@pytest.mark.parametrize('saved', [None, 'xy', [], [{}], [{}, 'x'], [{}, {}, {}], dict(a=[], b=[])])
def test_other_schedules_are_refused(saved):
    with pytest.raises(CheckpointError, match='its param_schedulers'):
        check_schedules(saved, trained(**SGD).schedules)


def _of_a_group(**settings):
    def change(saved):
        saved['param_groups'][0].update(settings)

    return change


def _of_a_state(change):
    return lambda saved: change(saved['state'][0])


HALF = dict(
    no_average=(_of_a_state(lambda state: state.pop('exp_avg')), 'exp_avg is missing'),
    no_step=(_of_a_state(lambda state: state.pop('step')), 'step is missing'),
    nothing_as_average=(_of_a_state(lambda state: state.update(exp_avg=None)), 'exp_avg is missing'),
    a_number_as_average=(_of_a_state(lambda state: state.update(exp_avg=0.5)), 'exp_avg is of another kind'),
    steps=(_of_a_state(lambda state: state.update(step=torch.ones(4))), 'step is of another kind'),
    nowhere=(_of_a_state(lambda state: state.update(exp_avg=torch.ones(4, device='meta'))), 'without numbers'),
    not_finite=(_of_a_state(lambda state: state['exp_avg'].fill_(float('nan'))), 'NaN or infinite, in exp_avg'),
    a_maximum=(_of_a_group(amsgrad=True), 'max_exp_avg_sq is missing'),
    rates=(_of_a_group(betas=(5, 6)), 'settings that Adam does not take: Invalid beta'),
)


@pytest.mark.parametrize('name', HALF)
@pytest.mark.parametrize('fused', [False, True])
def test_an_optimizer_state_unfit_for_a_step_is_refused(name, fused):
    change, told = HALF[name]
    saved = saved_of(trained(torch.optim.Adam, lr=0.1, fused=fused))
    run = trained(torch.optim.Adam, 0, lr=0.1, fused=fused)
    fitted_optimizer(saved, run.wrapper)
    change(saved)
    with pytest.raises(CheckpointError, match=told):
        fitted_optimizer(saved, run.wrapper)


def test_optimizer_states_without_entries_are_accepted():
    """A parameter that had no gradient; a momentum of SGD before its first step; a step as older versions wrote it."""
    saved = saved_of(trained(torch.optim.Adam, lr=0.1))
    saved['state'][0] = {}
    saved['state'][1]['step'] = 2
    assert fitted_optimizer(saved, trained(torch.optim.Adam, 0, lr=0.1).wrapper)['state'][1]['step'] == 2
    saved = saved_of(trained(**SGD))
    saved['state'][0]['momentum_buffer'] = None
    fitted_optimizer(saved, trained(steps=0, **SGD).wrapper)
