"""``mmlgd doctor``: checks what is installed, what is missing, and what to do."""

import importlib
import platform
import sys
import tempfile
import urllib.error
import urllib.request
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Callable, NamedTuple

import click
from packaging.requirements import Requirement

STACKS = dict(
    openmmlab=('mmengine', 'mmcv', 'mmpretrain', 'mmdet', 'mmsegmentation'),
    onedl=('onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain', 'onedl-mmdetection', 'onedl-mmsegmentation'),
)
EXTRAS = dict(
    conse='a teacher that pip installs',
    fast='augmentation on the GPU',
    evaluation='linear probes, maps of embeddings',
    export='ONNX',
    report='the page of `mmlgd report`',
    teachers='TIPSv2 and C-RADIO as teachers',
)
HOSTS = ('https://huggingface.co', 'https://openaipublic.azureedge.net', 'https://download.pytorch.org')
_MARKS = dict(ok=('ok', 'green'), note=('note', 'yellow'), broken=('BROKEN', 'red'))


class Finding(NamedTuple):
    """The result of a check.

    Attributes:
        state (str): ``'ok'``, ``'note'`` (a task may need it) or ``'broken'``.
        what (str): What was checked, and the result.
        fix (str): What to do; empty if nothing.
    """

    state: str
    what: str
    fix: str = ''


@click.command()
@click.option(
    '--timeout', type=click.FloatRange(min=0.1), default=3.0, metavar='SECONDS', help='For each host. Defaults to 3.'
)
@click.option('--offline', is_flag=True, help='Do not use the network.')
def doctor(timeout: float, offline: bool) -> None:
    """Check the environment and say what to do.

    Checks Python, the dependencies and their versions, torch and its GPU, the OpenMMLab stack (one of two, not mixed),
    mmcv's compiled operators, the optional parts, the default teacher's weights, the cache folder and the network.
    Nothing is changed. The exit code is 1 if something that pre-training needs is broken; notes do not count.
    """
    checks: list[Callable[[], list[Finding]]] = [python, dependencies, torch_build, memory, stack, operators]
    checks += [extras, cache]
    findings = [finding for check in checks for finding in check()]
    cached = weights()
    findings += cached
    has_weights = cached[0].state == 'ok'
    if not offline:
        findings += network(timeout, needed=not has_weights)
    for state, what, fix in findings:
        mark, colour = _MARKS[state]
        click.echo(f'{click.style(f"{mark:7}", fg=colour)} {what}')
        for line in fix.splitlines():
            click.echo(f'        -> {line}')
    broken = sum(finding.state == 'broken' for finding in findings)
    click.echo(f'\n{_conclusion(broken, has_weights, findings[-1].state == "ok" or offline)}')
    sys.exit(1 if broken else 0)


def _conclusion(broken: int, has_weights: bool, may_download: bool) -> str:
    if broken:
        return f'{broken} broken: follow the advice above, and run this again.'
    if has_weights:
        return 'All that pre-training needs is here. Start with `mmlgd pretrain --help`.'
    how = 'The first run downloads them' if may_download else 'They cannot be downloaded now: see above'
    return (
        f"All that pre-training needs is here, except the default teacher's weights. {how}; --teacher conse needs none."
    )


def requirements(extra: str = '') -> list[Requirement]:
    """Read the requirements of the installed mmlgd, as in setup.cfg.

    Args:
        extra (str): An extra; empty for the requirements without extras.

    Returns:
        List[Requirement]: Requirements, without those of other extras and without mmlgd itself.
    """
    asked = [Requirement(line) for line in metadata.requires('mmlgd') or []]
    if extra:
        return [r for r in asked if r.name != 'mmlgd' and r.marker and _fits(r, extra) and not _fits(r, '')]
    return [r for r in asked if _fits(r, '')]


def _fits(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(dict(extra=extra))


def installed(name: str) -> str:
    """Look up a distribution's version.

    Args:
        name (str): Name of the distribution for pip.

    Returns:
        str: Empty if it is not installed.
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ''


def compare(asked: list[Requirement], fix: str) -> list[Finding]:
    """Compare requirements with the installed versions.

    Args:
        asked (List[Requirement]): The requirements.
        fix (str): What to do about a difference.

    Returns:
        List[Finding]: The broken ones.
    """
    found = [(requirement, installed(requirement.name)) for requirement in asked]
    return [
        Finding('broken', f'{requirement.name} {version or "is not installed"}: mmlgd needs {_plain(requirement)}', fix)
        for requirement, version in found
        if not version or not requirement.specifier.contains(version, prereleases=True)
    ]


def _plain(requirement: Requirement) -> str:
    return f'{requirement.name}{requirement.specifier}'


def python() -> list[Finding]:
    """Check the interpreter."""
    return [Finding('ok', f'Python {platform.python_version()} in {sys.prefix}')]  # pip has checked its version


def dependencies() -> list[Finding]:
    """Check the requirements of mmlgd itself."""
    try:
        asked = requirements()
    except metadata.PackageNotFoundError:
        fix = 'pip install mmlgd, or pip install -e . in its source tree'
        return [Finding('broken', 'mmlgd is not installed here: it is only on the path', fix)]
    fix = 'pip install ' + ' '.join(f'"{_plain(r)}"' for r in asked if r.specifier)
    return compare(asked, fix) or [Finding('ok', f'mmlgd {installed("mmlgd")} and its {len(asked)} dependencies')]


def torch_build() -> list[Finding]:
    """Check torch, torchvision and the GPU."""
    try:
        import torch
        import torchvision
    except Exception as error:  # a torchvision for another torch raises RuntimeError or OSError
        fix = 'Install matching versions: pip install torch==2.9.1 torchvision==0.24.1'
        return [Finding('broken', f'torch and torchvision cannot be imported: {_first_line(error)}', fix)]
    here = f'torch {torch.__version__}, torchvision {torchvision.__version__}'
    if torch.cuda.is_available():
        return [Finding('ok', f'{here}; {torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}')]
    if Path('/proc/driver/nvidia').exists():
        why = 'this torch is built without CUDA' if torch.version.cuda is None else 'its CUDA does not fit the driver'
        fix = 'Choose the build at https://pytorch.org/get-started/locally, then build mmcv again.'
        return [Finding('note', f'{here}; there is an NVIDIA driver, but torch finds no GPU: {why}', fix)]
    fix = (
        'This is enough for the demo and a few thousand small images (configs/small); a real pre-training needs a GPU.'
    )
    return [Finding('note', f'{here}; no GPU', fix)]


def memory() -> list[Finding]:
    """Check whether tools can keep freed memory where there is no GPU."""
    try:
        import torch
    except Exception:  # torch_build() reports it
        return []
    from mmlgd.utils.memory import keeps_freed_memory

    if torch.accelerator.is_available():
        return []
    if keeps_freed_memory():
        return [Finding('ok', 'freed memory stays in a process (glibc), which makes a step on this CPU faster')]
    fix = 'The time of a step was measured with glibc, as most Linux systems have it: docs/performance.md.'
    return [Finding('note', 'freed memory goes back to the system in each step: this C library is not glibc', fix)]


def stack() -> list[Finding]:
    """Check for one complete stack, not parts of two."""
    present = {name: [d for d in distributions if installed(d)] for name, distributions in STACKS.items()}
    if installed('mmcv-lite'):
        present['openmmlab'].append('mmcv-lite')
    here = ', '.join(f'{d} {installed(d)}' for distributions in present.values() for d in distributions)
    both = [name for name, distributions in present.items() if distributions]
    if not both:
        fix = (
            'pip install "mmlgd[openmmlab]" (the reference) or "mmlgd[onedl]" (the maintained fork); mmcv needs torch '
        )
        fix += 'first:\n' + _build_mmcv()
        return [Finding('broken', 'There is no OpenMMLab stack: neither mmengine nor onedl-mmengine', fix)]
    if len(both) == 2:
        fewer = min(both, key=lambda name: len(present[name]))
        other = next(name for name in both if name != fewer)
        fix = f"They overwrite each other's files. Keep one, for example {other}:\npip uninstall -y "
        fix += f'{" ".join(present[fewer])}\npip install --force-reinstall --no-deps {" ".join(present[other])}'
        return [Finding('broken', f'Two stacks are mixed: {here}', fix)]
    (name,) = both
    asked = _ask(name)
    if 'mmcv-lite' in present[name]:
        asked = [r for r in asked if r.name != 'mmcv']
    fix = f'pip install "mmlgd[{name}]"'
    if findings := compare(asked, fix):
        return findings
    try:
        _stack_module().check_stack()
    except ImportError as error:
        return [Finding('broken', str(error), fix)]
    return [Finding('ok', f'the {name} stack: {here}')]


def _ask(extra: str) -> list[Requirement]:
    try:
        return requirements(extra)
    except metadata.PackageNotFoundError:
        return []  # dependencies() reports it


def _stack_module():
    """Load ``mmlgd.stack`` from its file: importing the package would run its check."""
    file = Path(find_spec('mmlgd').submodule_search_locations[0]) / 'stack.py'
    spec = importlib.util.spec_from_file_location('mmlgd_stack', file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def operators() -> list[Finding]:
    """Run one of mmcv's compiled operators: an isolated build omits them, one for another torch may fail only here."""
    try:
        import torch

        mmcv_ops = importlib.import_module('mmcv.ops')
        mmcv_ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), iou_threshold=0.5)
    except Exception as error:
        fix = (
            'Pre-training and classification do not need them. For detection and segmentation, with torch installed:\n'
        )
        fix += _build_mmcv('--force-reinstall --no-deps ')
        return [Finding('note', f"mmcv's compiled operators do not run: {_first_line(error)}", fix)]
    return [Finding('ok', "mmcv's compiled operators")]


def _build_mmcv(again: str = '') -> str:
    """Write the command. Without the cache: pip takes an mmcv that it once built for another torch from there."""
    asked = _ask('onedl' if installed('onedl-mmengine') else 'openmmlab')
    mmcv = next((_plain(r) for r in asked if r.name.endswith('mmcv')), 'mmcv')
    return f'MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir {again}"{mmcv}"'


def extras() -> list[Finding]:
    """Check the optional packages."""
    findings = []
    dense = 'onedl-dense' if installed('onedl-mmengine') else 'openmmlab-dense'
    for extra, purpose in {dense: 'detectors and segmentors', **EXTRAS}.items():
        faults = compare(_ask(extra), '')
        if not faults:
            findings.append(Finding('ok', f'extra {extra}: {purpose}'))
        else:
            names = ', '.join(fault.what.split(':')[0] for fault in faults)
            fix = f'To install it: pip install "mmlgd[{extra}]"'
            findings.append(Finding('note', f'extra {extra} ({purpose}): {names}', fix))
    return findings


def weights(model: str = 'RN50', tag: str = 'openai') -> list[Finding]:
    """Check for the default teacher's weights in open_clip's places.

    Args:
        model (str): An architecture of open_clip.
        tag (str): Tag of its weights.

    Returns:
        List[Finding]: One.
    """
    try:
        from huggingface_hub import try_to_load_from_cache
        from open_clip.pretrained import get_pretrained_cfg
    except Exception as error:
        return [Finding('broken', f'open_clip cannot be imported: {_first_line(error)}', 'pip install open_clip_torch')]
    source = get_pretrained_cfg(model, tag)
    repository = source.get('hf_hub', '').rstrip('/')
    files = ('open_clip_model.safetensors', 'open_clip_pytorch_model.bin')
    places = [try_to_load_from_cache(repository, file) for file in files]
    places.append(str(Path('~/.cache/clip').expanduser() / source.get('url', '').split('/')[-1]))
    for place in places:
        if isinstance(place, str) and Path(place).is_file():
            return [Finding('ok', f'weights of the default teacher, {model}: {place}')]
    fix = f'open_clip downloads them in the first run from {repository}. Without a network, give a file,\n'
    fix += f'--teacher {model}:{tag}:/path/to/weights, or use a teacher that pip installs, --teacher conse'
    return [Finding('note', f'weights of the default teacher, {model}, are not on this machine yet', fix)]


def cache() -> list[Finding]:
    """Check that the cache of text embeddings and of lists of images is writable."""
    from mmlgd.utils.paths import cache_folder

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        fix = 'export MMLGD_CACHE=/a/folder/of/yours; without a cache, each start embeds the class names again.'
        return [Finding('note', f'cannot write to the cache: {error}', fix)]
    return [Finding('ok', f'cache of text embeddings: {folder}')]


def network(timeout: float, needed: bool) -> list[Finding]:
    """Check that the hosts of weights answer.

    Args:
        timeout (float): Seconds for each host.
        needed (bool): Whether the default teacher's weights must still be downloaded.

    Returns:
        List[Finding]: One.
    """
    silent: dict[str, list[str]] = {}  # hosts by reason
    for host in HOSTS:
        try:
            urllib.request.urlopen(urllib.request.Request(host, method='HEAD'), timeout=timeout).close()
        except urllib.error.HTTPError:
            pass  # an error code is an answer, too
        except (OSError, ValueError) as error:
            silent.setdefault(str(getattr(error, 'reason', error)), []).append(host)
    if not silent:
        return [Finding('ok', f'the network: {", ".join(HOSTS)}')]
    fix = (
        'Copy the weights here by hand (docs/teachers.md, "Without a network"), or set a proxy: export HTTPS_PROXY=...'
    )
    told = '; '.join(f'{", ".join(hosts)} ({reason})' for reason, hosts in silent.items())
    return [Finding('note', f'no weights can be downloaded: no answer from {told}', fix if needed else '')]


def _first_line(error: Exception) -> str:
    return f'{type(error).__name__}: {error}'.splitlines()[0][:200]
