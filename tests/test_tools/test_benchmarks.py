"""The benchmarks run, compare like with like, and write what they measured."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from mmlgd import LGDLoss
from mmlgd.models import compilation
from tests import ROOT

from ..test_models.reference import lgka
from ..test_models.test_banks import unit

BENCHMARKS = ROOT / 'tools/benchmarks'


@pytest.fixture
def benchmark(monkeypatch, capsys, tmp_path):
    """Run a benchmark in this process and return what it prints and what it writes."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    # Machine code for whole networks takes minutes on a CPU, and is not what is tested here.
    monkeypatch.setattr(compilation, '_why_not', lambda device: 'not in this test')

    def run(name, *arguments):
        file = tmp_path / 'figures.json'
        monkeypatch.setattr(
            sys, 'argv', [name, *map(str, arguments), '--rounds', '2', '--warmup', '1', '--json', str(file)]
        )
        runpy.run_path(str(BENCHMARKS / f'{name}.py'), run_name='__main__')
        return capsys.readouterr().out, json.loads(file.read_text())

    return run


@pytest.fixture
def published(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import published

    return published


def test_what_ours_is_compared_with_is_the_published_maths(published):
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
    assert 'K = 3' in told and 'K = 7' in told and '| published ' in told and 'pictures/s' in told
    assert figures['environment']['torch'] == torch.__version__
    times = figures['seconds_by_classes']['7']
    assert len(times) == 2 and all(len(rounds) == 2 and min(rounds) > 0 for rounds in times.values())


@pytest.mark.slow
def test_step(benchmark):
    told, figures = benchmark('step', '--device', 'cpu', '--classes', 3, 6, '--batch', 2)
    assert 'K = 6 takes' in told
    assert list(figures['seconds_by_classes']['3']) == [
        'published step',
        'LGD, live teacher',
        'LGD, stored teacher',
        'supervised ResNet-18 (floor)',
    ]


@pytest.mark.slow
def test_teacher(benchmark):
    told, figures = benchmark('teacher', '--device', 'cpu', '--batch', 1)
    assert 'one token pooled' in told and len(figures['seconds']) == 3


@pytest.mark.slow
def test_store(benchmark, pictures):
    arguments = ('--device', 'cpu', '--pictures', pictures, '--count', 4, '--batch', 2, '--also', 'ViT-B-32')
    told, figures = benchmark('store', *arguments)
    assert figures['bytes_a_view'] == pytest.approx(2 * 1024 + 128 / 8)  # half precision, and a header a shard
    assert '| 8 views |' in told and 'until it pays' in told


def test_break_even(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import store

    # Writing two views costs as much as four epochs of a teacher that takes as long as loading a picture.
    assert store.break_even(2, pipeline=1.0, teacher=1.0) == 4
    # ViT-L/14: 4 * 81 GMACs and some, twice; RN50's tower about a thirteenth.
    assert 12 < store.flops('ViT-L-14') / store.flops('RN50') < 15


def test_a_profile_is_drawn(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import profile_step

    layer = torch.nn.Conv2d(3, 4, 3)
    one = profile_step.timelines(dict(one=lambda: layer(torch.ones(1, 3, 8, 8)).mean().item()), 'cpu')
    (bars,) = one.values()
    assert bars[0].start == 0 and {'convolution', 'class by class'} <= {bar.kind for bar in bars}
    profile_step.draw(dict(one=bars, two=bars), 'a convolution', tmp_path / 'step.png')
    assert (tmp_path / 'step.png').stat().st_size > 5000


def test_scale_formulas_are_what_two_processes_do(monkeypatch, capsys):
    if not Path('/proc/net/dev').is_file():
        pytest.skip('the loopback counters of Linux are needed')
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, 'argv', ['scale', '--batch', '64', '--classes', '100', '--dim', '256'])
    runpy.run_path(str(BENCHMARKS / 'scale.py'), run_name='__main__')
    rows = [line.split('|') for line in capsys.readouterr().out.splitlines() if line.startswith('| 64')]
    assert len(rows) == 3
    for *_, predicted, measured, _ in rows:
        predicted, measured = (int(value.replace(',', '')) for value in (predicted, measured))
        assert measured == pytest.approx(predicted, rel=0.1)  # the transport adds its headers
