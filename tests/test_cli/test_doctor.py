"""``mmlgd doctor`` in faked environments: what is broken, what is a note, what it says."""

import sys
import urllib.error
from importlib import metadata
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from mmlgd.cli import doctor
from mmlgd.cli.__main__ import main

REQUIRES = [
    'numpy',
    'open_clip_torch<4,>=3.0',
    'mmengine<0.11,>=0.10.7; extra == "openmmlab"',
    'mmcv<2.2,>=2.1.0; extra == "openmmlab"',
    'setuptools<82; extra == "openmmlab"',
    'onedl-mmengine<0.11,>=0.10.12; extra == "onedl"',
    'onedl-mmcv<2.4,>=2.3.6; extra == "onedl"',
    'mmlgd[openmmlab]; extra == "openmmlab-dense"',
    'mmdet<3.4,>=3.3.0; extra == "openmmlab-dense"',
    'onedl-mmdetection<3.6,>=3.5.1; extra == "onedl-dense"',
    'kornia>=0.8.1; extra == "fast"',
    'onnx>=1.16; python_version < "3" and extra == "export"',
]
HEALTHY = dict(
    mmlgd='0.1.0',
    numpy='2.0',
    open_clip_torch='3.3.0',
    mmengine='0.10.7',
    mmcv='2.1.0',
    setuptools='81.0',
    kornia='0.8.2',
)


@pytest.fixture
def packages(monkeypatch):
    """The installed distributions, to be changed."""
    installed = dict(HEALTHY)

    def version(name):
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    def requires(name):
        version(name)
        return REQUIRES

    monkeypatch.setattr(doctor.metadata, 'version', version)
    monkeypatch.setattr(doctor.metadata, 'requires', requires)
    monkeypatch.setattr(doctor, '_stack_module', lambda: SimpleNamespace(check_stack=lambda: None))
    return installed


def states(findings):
    return [finding.state for finding in findings]


def test_a_healthy_environment(packages):
    assert states([*doctor.python(), *doctor.dependencies(), *doctor.stack()]) == ['ok'] * 3
    assert 'the openmmlab stack: mmengine 0.10.7, mmcv 2.1.0' in doctor.stack()[0].what


def test_requirements_are_those_of_the_metadata(packages):
    assert [r.name for r in doctor.requirements()] == ['numpy', 'open_clip_torch']
    assert [r.name for r in doctor.requirements('openmmlab')] == ['mmengine', 'mmcv', 'setuptools']
    assert [r.name for r in doctor.requirements('openmmlab-dense')] == ['mmdet']
    assert doctor.requirements('export') == []


def test_mmlgd_that_is_only_on_the_path(packages):
    del packages['mmlgd']
    (finding,) = doctor.dependencies()
    assert finding.state == 'broken' and 'pip install' in finding.fix
    assert states(doctor.stack()) == ['ok']  # the rest is looked at all the same


def test_a_dependency_of_another_version_and_one_that_is_missing(packages):
    packages['open_clip_torch'] = '2.30'
    del packages['numpy']
    missing, old = doctor.dependencies()
    assert missing.what == 'numpy is not installed: mmlgd needs numpy'
    assert old.what == 'open_clip_torch 2.30: mmlgd needs open_clip_torch<4,>=3.0'
    assert '"open_clip_torch<4,>=3.0"' in old.fix


def test_no_stack(packages):
    del packages['mmengine'], packages['mmcv']
    (finding,) = doctor.stack()
    assert finding.state == 'broken' and 'mmlgd[openmmlab]' in finding.fix and '--no-build-isolation' in finding.fix


def test_a_mixed_stack_keeps_the_larger_half(packages):
    packages['onedl-mmengine'] = '0.10.12'
    (finding,) = doctor.stack()
    assert finding.state == 'broken' and 'Two stacks are mixed' in finding.what
    assert 'pip uninstall -y onedl-mmengine' in finding.fix
    assert '--force-reinstall --no-deps mmengine mmcv' in finding.fix


@pytest.mark.parametrize('name, version', [('mmengine', '0.9.0'), ('mmcv', '2.2.0'), ('setuptools', '82.0.1')])
def test_a_stack_outside_its_range(packages, name, version):
    packages[name] = version
    (finding,) = doctor.stack()
    assert finding.state == 'broken' and f'{name} {version}: mmlgd needs {name}<' in finding.what


def test_half_a_stack(packages):
    del packages['mmcv']
    assert states(doctor.stack()) == ['broken']
    packages['mmcv-lite'] = '2.1.0'  # without operators, which pre-training does not need
    assert states(doctor.stack()) == ['ok']


def test_a_stack_that_refuses_itself(packages, monkeypatch):
    def refuse():
        raise ImportError('mmlgd needs mmpretrain>=1.2.0,<1.4, which is not installed.')

    monkeypatch.setattr(doctor, '_stack_module', lambda: SimpleNamespace(check_stack=refuse))
    (finding,) = doctor.stack()
    assert finding.state == 'broken' and 'mmpretrain' in finding.what


def test_the_stack_module_is_the_package_s_own():
    assert set(doctor._stack_module().RANGES) == {'mmengine', 'mmcv', 'mmpretrain'}


def test_operators_are_optional(monkeypatch):
    def fail(name):
        raise ImportError("No module named 'mmcv._ext'\nmore")

    monkeypatch.setattr(doctor.importlib, 'import_module', fail)
    (finding,) = doctor.operators()
    assert finding.state == 'note' and finding.what.endswith("No module named 'mmcv._ext'")
    assert 'MMCV_WITH_OPS=1' in finding.fix


@pytest.mark.parametrize('stack, mmcv', [('openmmlab', 'mmcv<2.2'), ('onedl', 'onedl-mmcv<2.4')])
def test_operators_of_another_torch_that_import_but_do_not_run(packages, monkeypatch, stack, mmcv):
    if stack == 'onedl':
        packages['onedl-mmengine'] = '0.10.12'

    def nms(boxes, scores, iou_threshold):
        raise RuntimeError('nms_impl: implementation for device cuda:0 not found.')

    monkeypatch.setattr(doctor.importlib, 'import_module', lambda name: SimpleNamespace(nms=nms))
    (finding,) = doctor.operators()
    assert finding.state == 'note' and 'nms_impl' in finding.what
    assert '--force-reinstall' in finding.fix and '--no-cache-dir' in finding.fix and f'"{mmcv}' in finding.fix


def test_operators_that_run():
    pytest.importorskip('mmcv.ops')
    assert states(doctor.operators()) == ['ok']


def test_optional_parts(packages):
    found = {f.what.split()[1].rstrip(':'): f.state for f in doctor.extras()}
    assert found['fast'] == 'ok'
    packages['kornia'] = '0.7'
    fast = next(f for f in doctor.extras() if 'fast' in f.what)
    assert fast.state == 'note' and 'kornia 0.7' in fast.what and 'mmlgd[fast]' in fast.fix


@pytest.mark.parametrize('stack, mmdet', [('openmmlab', 'mmdet'), ('onedl', 'onedl-mmdetection')])
def test_a_stack_without_detectors_says_how_to_add_them(packages, stack, mmdet):
    if stack == 'onedl':
        packages['onedl-mmengine'] = '0.10.12'
    (dense,) = (f for f in doctor.extras() if 'dense' in f.what)
    assert (
        dense.state == 'note' and f'{mmdet} is not installed' in dense.what and f'"mmlgd[{stack}-dense]"' in dense.fix
    )


def test_every_extra_of_a_command_is_checked():
    extras = set(metadata.metadata('mmlgd').get_all('Provides-Extra'))
    stacks = {stack + part for stack in doctor.STACKS for part in ('', '-dense')}
    assert extras - stacks - {'dev', 'docs', 'tests'} == set(doctor.EXTRAS)


def test_torch_that_does_not_import(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torchvision', None)
    (finding,) = doctor.torch_build()
    assert finding.state == 'broken' and 'matching versions' in finding.fix


@pytest.mark.parametrize('driver, cuda', [(True, None), (True, '12.8'), (False, None)])
def test_torch_without_a_card(monkeypatch, driver, cuda):
    torch = SimpleNamespace(
        __version__='2.9.1', cuda=SimpleNamespace(is_available=lambda: False), version=SimpleNamespace(cuda=cuda)
    )
    monkeypatch.setitem(sys.modules, 'torch', torch)
    monkeypatch.setitem(sys.modules, 'torchvision', SimpleNamespace(__version__='0.24.1'))
    monkeypatch.setattr(doctor.Path, 'exists', lambda self: driver)
    (finding,) = doctor.torch_build()
    assert finding.state == 'note'
    assert ('there is an NVIDIA driver' in finding.what) == driver
    assert ('without CUDA' in finding.what) == (driver and cuda is None)


def test_weights_in_either_cache(tmp_path, monkeypatch):
    monkeypatch.setattr('huggingface_hub.try_to_load_from_cache', lambda repository, file: None)
    monkeypatch.setenv('HOME', str(tmp_path))
    (missing,) = doctor.weights()
    assert missing.state == 'note' and '--teacher conse' in missing.fix
    (tmp_path / '.cache/clip').mkdir(parents=True)
    (tmp_path / '.cache/clip/RN50.pt').touch()
    assert doctor.weights()[0].state == 'ok'
    (tmp_path / 'hub').touch()
    monkeypatch.setattr('huggingface_hub.try_to_load_from_cache', lambda repository, file: str(tmp_path / 'hub'))
    assert doctor.weights()[0].what.endswith('hub')


def test_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv('MMLGD_CACHE', str(tmp_path / 'new'))
    assert states(doctor.cache()) == ['ok']
    (tmp_path / 'file').touch()
    monkeypatch.setenv('MMLGD_CACHE', str(tmp_path / 'file'))
    (finding,) = doctor.cache()
    assert finding.state == 'note' and 'MMLGD_CACHE' in finding.fix


def test_the_network(monkeypatch):
    asked = []

    def answer(request, timeout):
        asked.append((request.full_url, request.get_method(), timeout))
        if 'openai' in request.full_url:
            raise urllib.error.HTTPError(request.full_url, 400, 'no such page', None, None)
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(doctor.urllib.request, 'urlopen', answer)
    assert states(doctor.network(2.0, needed=True)) == ['ok']  # an error page is an answer
    assert asked == [(host, 'HEAD', 2.0) for host in doctor.HOSTS]

    def silence(request, timeout):
        raise urllib.error.URLError('timed out')

    monkeypatch.setattr(doctor.urllib.request, 'urlopen', silence)
    (finding,) = doctor.network(2.0, needed=True)
    assert finding.what.count('timed out') == 1  # a common reason is said once
    assert finding.state == 'note' and 'URLError' not in finding.what and 'HTTPS_PROXY' in finding.fix
    assert doctor.network(2.0, needed=False)[0].fix == ''


@pytest.mark.parametrize(
    'state, options, said',
    [
        ('ok', ['--offline'], 'is here. Start with'),
        ('note', ['--offline'], 'The first run downloads them; --teacher conse'),
        ('note', [], 'cannot be downloaded now'),
    ],
)
def test_the_conclusion_tells_what_a_first_run_needs(packages, monkeypatch, state, options, said):
    for check in ('torch_build', 'operators'):
        monkeypatch.setattr(doctor, check, lambda: [])
    monkeypatch.setattr(doctor, 'weights', lambda: [doctor.Finding(state, 'weights')])
    monkeypatch.setattr(doctor, 'network', lambda timeout, needed: [doctor.Finding('note', 'no answer')])
    assert said in CliRunner().invoke(main, ['doctor', *options]).output


@pytest.mark.parametrize('broken', [False, True])
def test_the_command_says_what_to_do_and_exits_accordingly(packages, monkeypatch, broken):
    if broken:
        packages['mmcv'] = '2.2.0'
    monkeypatch.setattr(doctor, 'torch_build', lambda: [doctor.Finding('ok', 'torch')])
    monkeypatch.setattr(doctor, 'operators', lambda: [doctor.Finding('note', 'operators', 'one\ntwo')])
    result = CliRunner().invoke(main, ['doctor', '--offline'])
    assert result.exit_code == int(broken), result.output
    assert '        -> one\n        -> two\n' in result.output
    assert ('BROKEN  mmcv 2.2.0' in result.output) == broken
    assert ('All that pre-training needs is here' in result.output) != broken


def test_freed_memory_is_kept_where_there_is_no_gpu(monkeypatch):
    import torch

    from mmlgd.utils import memory

    monkeypatch.setattr(torch.accelerator, 'is_available', lambda: False)
    for library, state, word in (('glibc', 'ok', 'stays'), ('', 'note', 'goes back')):
        monkeypatch.setattr(memory.platform, 'libc_ver', lambda name=library: (name, ''))
        (finding,) = doctor.memory()
        assert finding.state == state and word in finding.what
    monkeypatch.setattr(torch.accelerator, 'is_available', lambda: True)
    assert doctor.memory() == []
