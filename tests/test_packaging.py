"""The distribution as a user gets it: built, installed into a fresh environment, used from a fresh folder."""

import csv
import os
import shutil
import site
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest
from PIL import Image

from tests import ROOT

CONFIG = 'lgd/lgd_resnet18_8xb256-coslr-90e_in1k.py'
RECIPE = 'lgd/lgd_resnet18_1xb256-coslr-200e_images.py'
# What a clone holds and a fresh checkout does not: never part of a distribution.
LEFTOVERS = shutil.ignore_patterns(
    '.git', '.venv*', '.mim', '.*_cache', '__pycache__', '*.egg-info', 'build', 'dist', 'data', 'work_dirs'
)

pytestmark = [
    pytest.mark.packaging,
    pytest.mark.xdist_group('packaging'),  # one worker, so that the builds below happen once
    pytest.mark.skipif(not (ROOT / 'setup.cfg').is_file(), reason='the tests do not lie in a source tree'),
    pytest.mark.skipif(find_spec('build') is None, reason='needs the package `build` (extra `tests`)'),
]


def run(*command, cwd):
    """Run a command outside the source tree; its output is the return value or the failure's message."""
    env = {key: value for key, value in os.environ.items() if key not in ('PYTHONPATH', 'PYTHONHOME')}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, f'{command} failed:\n{done.stdout[-6000:]}'
    return done.stdout


def build(kind, source, out):
    """Build a wheel or an sdist of ``source``; return the one file that came out."""
    run(sys.executable, '-m', 'build', f'--{kind}', '--no-isolation', '--outdir', out, source, cwd=out.parent)
    (path,) = out.iterdir()
    return path


def fresh_env(folder, *install):
    """Make an environment that sees this one's packages but has an mmlgd of its own; return its interpreter."""
    run(sys.executable, '-m', 'venv', '--without-pip', folder, cwd=folder.parent)
    python = folder / ('Scripts' if os.name == 'nt' else 'bin') / 'python'
    own = Path(run(python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))', cwd=folder).strip())
    # Folders named in a .pth file come last, and their own .pth files (an editable mmlgd) are not read.
    (own / 'outer.pth').write_text('\n'.join(site.getsitepackages()) + '\n')
    pip(python, 'install', '--no-deps', '--no-build-isolation', *install, cwd=folder)
    return python


def pip(python, *arguments, cwd):
    return run(sys.executable, '-m', 'pip', '--python', python, *arguments, cwd=cwd)


def mim_files(wheel):
    """What ``.mim`` holds in a wheel, relative to it."""
    prefix = 'mmlgd/.mim/'
    return {name[len(prefix) :] for name in zipfile.ZipFile(wheel).namelist() if name.startswith(prefix)}


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of the source tree: builds leave traces, and none should lie in the tree under test."""
    return shutil.copytree(ROOT, tmp_path_factory.mktemp('source') / 'mmlgd', ignore=LEFTOVERS)


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory):
    return build('wheel', source, tmp_path_factory.mktemp('wheel') / 'dist')


@pytest.fixture(scope='module')
def wheel_python(wheel, tmp_path_factory):
    return fresh_env(tmp_path_factory.mktemp('wheel_env') / 'env', wheel)


@pytest.fixture(scope='module')
def editable_python(source, tmp_path_factory):
    return fresh_env(tmp_path_factory.mktemp('editable_env') / 'env', '--editable', source)


@pytest.fixture(params=['wheel', 'editable'])
def python(request):
    """The interpreter of an environment with mmlgd installed from the wheel, or from the copied tree as editable."""
    return request.getfixturevalue(f'{request.param}_python')


def test_wheel_holds_every_config_and_tool_and_records_them(wheel, source):
    expected = {'model-index.yml'} | {
        path.relative_to(source).as_posix()
        for folder in ('configs', 'tools')
        for path in (source / folder).rglob('*')
        if path.is_file()
    }
    assert any('/_base_/' in name for name in expected)
    assert mim_files(wheel) == expected
    with zipfile.ZipFile(wheel) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith('.dist-info/RECORD'))
        recorded = {row[0] for row in csv.reader(archive.read(record).decode().splitlines())}
    assert {f'mmlgd/.mim/{name}' for name in expected} <= recorded


def test_wheel_holds_every_file_that_the_package_reads(wheel, source):
    """Lists of names, and the template, style and script of a report."""
    there = {
        path.relative_to(source).as_posix()
        for path in (source / 'mmlgd').rglob('*')
        if path.is_file() and not {'.mim', '__pycache__'} & {*path.parts}
    }
    assert {'mmlgd/pages/page.html.jinja', 'mmlgd/pages/page.css', 'mmlgd/pages/page.js'} <= there
    assert there <= {*zipfile.ZipFile(wheel).namelist()}


def test_sdist_builds_the_same_wheel(wheel, source, tmp_path):
    sdist = build('sdist', source, tmp_path / 'sdist')
    shutil.unpack_archive(sdist, tmp_path)
    (unpacked,) = (path for path in tmp_path.iterdir() if path.name.startswith('mmlgd-'))
    again = build('wheel', unpacked, tmp_path / 'wheel')
    assert set(zipfile.ZipFile(again).namelist()) == set(zipfile.ZipFile(wheel).namelist())


def test_get_config_and_base_by_name(python, tmp_path):
    """``mmengine.hub.get_config`` and a user's ``_base_`` find the configs by the package's name."""
    (tmp_path / 'mine.py').write_text(f"_base_ = 'mmlgd::{CONFIG}'\nwork_dir = 'mine'\n")
    code = f"""
        import mmlgd
        from mmengine.config import Config
        from mmengine.hub import get_config
        theirs, mine = get_config('mmlgd::{CONFIG}'), Config.fromfile('mine.py')
        print(mmlgd.__file__, theirs.model.type, mine.model.type, mine.work_dir)
    """
    file, *found = run(python, '-c', dedent(code), cwd=tmp_path).split()[-4:]
    assert ROOT not in Path(file).parents, 'the tree under test was imported, not the installed package'
    assert found == ['mmlgd.LGD', 'mmlgd.LGD', 'mine']


@pytest.mark.skipif(find_spec('mim') is None, reason='needs mim: pip install --no-deps openmim')
def test_mim_train(wheel_python, recipe_of, tmp_path):
    """``mim train mmlgd`` trains from a fresh folder: a user's config that inherits from ours by name."""
    (tmp_path / 'mine.py').write_text(recipe_of(f'mmlgd::{RECIPE}'))
    arguments = ['--gpus', '0', '--work-dir', 'run', '--cfg-options', 'train_cfg.max_epochs=1']
    log = run(wheel_python, '-m', 'mim', 'train', 'mmlgd', 'mine.py', *arguments, cwd=tmp_path)
    assert 'Training finished successfully' in log
    assert (tmp_path / 'run' / 'last_checkpoint').is_file()


@pytest.mark.skipif(find_spec('mim') is None, reason='needs mim: pip install --no-deps openmim')
def test_mim_finds_a_config_by_its_name(editable_python, tmp_path):
    """A config that is no file here is found in the package; its teacher then asks for weights that are not here."""
    command = [editable_python, '-m', 'mim', 'train', 'mmlgd', Path(RECIPE).name, '--gpus', '0', '--cfg-options']
    options = ['model.teacher.pretrained=/nowhere.pt', 'train_dataloader.dataset.data_root=photos']
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True)
    assert f'.mim/configs/{RECIPE}' in done.stdout or Path(RECIPE).name in done.stdout
    assert "'/nowhere.pt' is neither a file nor a tag of 'RN50'" in done.stdout + done.stderr


def test_the_command(wheel_python, images, tiny_clip, tmp_path):
    """``mmlgd pretrain`` writes a config that names ours by package, and trains it with the installed tools."""
    (tmp_path / 'names.txt').write_text('cat\ndog\ntree\n')
    command = [
        wheel_python.parent / 'mmlgd',
        'pretrain',
        '--images',
        images,
        '--names',
        'names.txt',
        '--teacher',
        tiny_clip,
    ]
    settings = ['--epochs', 1, '--batch-size', 4, '--size', 64, '--workers', 0, '--work-dir', 'run']
    small = ['model.backbone.base_channels=8', 'model.backbone.stem_channels=8']
    log = run(*command, *settings, '--recipe', 'paper', '--cfg-options', *small, cwd=tmp_path)
    assert f"_base_ = 'mmlgd::{RECIPE}'" in (tmp_path / 'run/recipe/pretrain.py').read_text()
    assert '--student run/epoch_1.pth' in log and (tmp_path / 'run' / 'epoch_1.pth').is_file()


VERBS = """
    import pathlib, sys
    from click.testing import CliRunner
    from mmlgd.cli.__main__ import VERBS, main

    def run(*words):
        done.add(words[0])
        result = CliRunner().invoke(main, list(map(str, words)))
        assert result.exit_code == expected, (words, result.output[-3000:], result.exception)
        return result.output

    images, teacher, done, expected = pathlib.Path('images'), sys.argv[1], set(), 0
    run('doctor', '--offline')
    assert 'by the names alone: ' in run('names', 'names.txt', '--teacher', teacher)
    assert 'of 3 names apart' in run('teacher', '--images', images, '--names', 'names.txt', '--teacher', teacher)
    run('store', 'mine.py', '--out', 'store', '--views', 1)
    run('train', 'mine.py', '--store', 'store', '--work-dir', 'run', '--no-validate')
    checkpoint = 'run/epoch_2.pth'
    run('test', 'mine.py', checkpoint, '--work-dir', 'tested', '--out', 'metrics.json')
    run('evaluate', checkpoint, '--data', 'data', '--labels', '1', '--seeds', 0, '--k', 1, '--workers', 0)
    assert 'cat' in run('predict', checkpoint, images)
    run('show', 'banks', checkpoint)
    run('show', 'neighbours', checkpoint, images, '--max-images', 2)
    run('show', 'map', checkpoint, images, '--teacher-options', f'model={teacher}')
    run('report', 'run', '--images', images, '--max-images', 4)
    assert '<h2>The answer</h2>' in pathlib.Path('report.html').read_text(encoding='utf-8')
    run('export', checkpoint, 'student.onnx', '--to', 'onnx')
    run('publish', checkpoint, 'published')
    run('convert', 'efficientnet-lite:lite0', 'lite0.pth')
    run('compare', 'mine.py', '--starts', 'random=none', '--seeds', 0, '--metric', 'accuracy/top1')
    proof = ['--config', 'mine.py', '--starts', 'random=none', 'again=none', '--seeds', 0, '--fractions', '100%']
    run('prove', *proof, '--metric', 'accuracy/top1')
    run('study', '--variants', 'lgd=mine.py', '--data', 'data', '--seeds', 0, '--labels', '1', '--draws', 0)
    run('pretrain', '--images', images, '--names', 'names.txt', '--teacher', teacher, '--batch-size', 4, '--dry-run')
    assert 'recipe/detect.py' in run('detect', '--data', 'boxes', '--student', checkpoint, '--dry-run')
    assert 'recipe/segment.py' in run('segment', '--data', 'masks', '--student', 'none', '--dry-run')
    expected = 1
    told = ['--cfg-options', 'optim_wrapper.optimizer.lr=1e30', '--work-dir', 'broken', '--no-validate']
    assert 'NaN or Inf' in run('train', 'mine.py', *told)
    expected = 0
    (step,) = pathlib.Path('broken/broken_steps').glob('*.pth')
    assert 'broken in the replay' in run('replay', step, '--teacher-options', f'model={teacher}')
    assert done == set(VERBS), set(VERBS) - done
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(find_spec('efficientnet_lite_pytorch') is None, reason='needs the extra `conse`')
def test_every_verb(wheel_python, recipe_of, images, tiny_clip, tmp_path):
    """All verbs, on the wheel in a fresh folder; in one process, as far as they run in one."""
    (tmp_path / 'mine.py').write_text(recipe_of(f'mmlgd::{RECIPE}'))
    (tmp_path / 'names.txt').write_text('cat\ndog\ntree\n')
    (tmp_path / 'images').symlink_to(images)
    for split in ('train', 'val'):
        for image in images.glob('*/*.png'):
            for copy in ('a', 'b'):  # a study asks for 20 neighbours
                target = tmp_path / 'data' / split / image.parent.name / f'{copy}{image.name}'
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(image, target)
    (tmp_path / 'boxes').mkdir()
    (tmp_path / 'boxes/classes.txt').write_text('cat\ndog\n')
    for name in ('a', 'b', 'c'):
        for folder, ending in (('boxes', 'png'), ('masks/images', 'jpg'), ('masks/masks', 'png')):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            Image.new('RGB' if 'images' in folder else 'L', (40, 40)).save(tmp_path / folder / f'{name}.{ending}')
        (tmp_path / f'boxes/{name}.txt').write_text('0 0.5 0.5 0.5 0.5\n')
    (tmp_path / 'masks/names.txt').write_text('cat\ndog\n')
    run(wheel_python, '-c', dedent(VERBS), tiny_clip, cwd=tmp_path)


def test_editable_links_follow_the_tree(editable_python, source, tmp_path):
    """Edits to configs and tools show at once, under links that git does not see."""
    for name in ('configs', 'tools', 'model-index.yml'):
        link = source / 'mmlgd' / '.mim' / name
        assert link.resolve() == (source / name).resolve()
        assert os.name == 'nt' or link.is_symlink()


def test_uninstall_leaves_nothing(wheel, tmp_path):
    python = fresh_env(tmp_path / 'env', wheel)
    (package,) = (tmp_path / 'env').rglob('site-packages/mmlgd')
    assert (package / '.mim' / 'tools' / 'train.py').is_file()
    pip(python, 'uninstall', '--yes', 'mmlgd', cwd=tmp_path)
    assert not package.exists()
