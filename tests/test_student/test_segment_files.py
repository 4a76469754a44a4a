"""Names for pixels by the command: label maps, overlays, scores, and names beside them."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import mmlgd
from mmlgd.cli.__main__ import main
from mmlgd.errors import ConfigError


@pytest.mark.filterwarnings('ignore:.*is skipped')
def test_label_maps_overlays_and_scores(lgd_checkpoint, images, tiny_clip, tmp_path):
    (tmp_path / 'more').mkdir()
    (tmp_path / 'more/bad.png').write_bytes(b'no image')
    out = tmp_path / 'out'
    command = ['predict', str(lgd_checkpoint), str(images), str(tmp_path / 'more'), '--segment', '--out', str(out)]
    command += ['--names', 'boat', 'red hen|hen', '--size', '64', '--scores', '--background', '0.5']
    told = CliRunner().invoke(main, [*command, '--teacher-options', f'model={tiny_clip}'])
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    files = sorted(images.rglob('*.png'))
    assert len(lines) == len(files) == 12
    student = mmlgd.Student(lgd_checkpoint, device='cpu', teacher=dict(model=tiny_clip))
    found = student.segment(files, ['boat', 'red hen|hen'], size=64, scores=True, background=0.5)
    written = json.loads((out / 'names.json').read_text())
    assert written['names'] == ['boat', 'red hen|hen'] and written['no_name'] == 255
    for file, one, line in zip(files, found, lines):
        place = file.relative_to(images)
        labels = Image.open(out / 'labels' / place)
        assert np.array_equal(np.asarray(labels), one.labels.numpy())
        assert [labels.getpalette()[3 * k : 3 * k + 3] for k in (0, 1)] == written['colors']
        scores = np.load((out / 'scores' / place).with_suffix('.npy'))
        assert scores.dtype == np.float16 and scores.shape == (2, 40, 48)
        np.testing.assert_allclose(scores, one.scores.numpy(), atol=1e-3)
        overlay = Image.open(out / 'overlays' / place)
        assert overlay.height == 300 and overlay.width > 360  # 40 x 48, enlarged, and its legend
        name, share = one.shares()[0]
        assert line.startswith(f'{file}: {name} {share:.3f}')


def test_without_a_folder_nothing_is_written(lgd_checkpoint, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (result,) = mmlgd.predict(lgd_checkpoint, images / 'class0/0.png', segment=True, device='cpu', topk=2)
    assert len(result['names']) <= 2 and result['labels'] is None and not list(tmp_path.iterdir())


@pytest.mark.parametrize('of_images, out', [('labels', '.'), ('overlays', '.'), ('photos', 'photos/out')])
def test_output_among_the_images_is_refused(of_images, out, lgd_checkpoint, images, tmp_path):
    file = tmp_path / of_images / '0.png'
    file.parent.mkdir()
    content = (images / 'class0/0.png').read_bytes()
    file.write_bytes(content)
    options = dict(segment=True, device='cpu', out=tmp_path / out)
    with pytest.raises(ConfigError, match='lies in the folder of images'):
        mmlgd.predict(lgd_checkpoint, file.parent, **options)
    if out == '.':  # the file alone would be overwritten
        with pytest.raises(ConfigError, match='0.png lies in the output of a run'):
            mmlgd.predict(lgd_checkpoint, file, **options)
    assert [one for one in tmp_path.rglob('*') if one.is_file()] == [file] and file.read_bytes() == content


def test_maps_of_other_names_keep_theirs(lgd_checkpoint, images, tmp_path):
    """The maps of an earlier run would be read with the names of the next one."""
    options = dict(segment=True, device='cpu', out=tmp_path / 'out')
    first, second = sorted((images / 'class0').glob('*.png'))[:2]
    mmlgd.predict(lgd_checkpoint, first, names=['cat', 'dog'], **options)
    told = (tmp_path / 'out/names.json').read_bytes()
    with pytest.raises(ConfigError, match='has label maps of other names'):
        mmlgd.predict(lgd_checkpoint, second, names=['dog', 'cat'], **options)
    assert (tmp_path / 'out/names.json').read_bytes() == told and len(list((tmp_path / 'out/labels').iterdir())) == 1
    mmlgd.predict(lgd_checkpoint, second, names=['cat', 'dog'], **options)
    assert [file.name for file in sorted((tmp_path / 'out/labels').iterdir())] == [first.name, second.name]


def test_an_unreadable_image_stops_before_any_file(lgd_checkpoint, tmp_path):
    (tmp_path / 'a.png').write_bytes(b'no image')
    options = dict(segment=True, device='cpu', out=tmp_path / 'out')
    with pytest.raises(ConfigError, match='a.png cannot be read'):
        mmlgd.predict(lgd_checkpoint, tmp_path / 'a.png', on_error='raise', **options)
    assert not (tmp_path / 'out').exists()
    with (
        pytest.warns(UserWarning, match='is skipped'),
        pytest.raises(ConfigError, match='None of 1'),
    ):
        mmlgd.predict(lgd_checkpoint, tmp_path / 'a.png', **options)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(segment=True, batch_size=3), '--batch-size has no meaning with --segment'),
        (dict(segment=True, show_dir='x'), '--show-dir has no meaning with --segment'),
        (dict(segment=True, scores=True), 'the folder --out'),
        (dict(size=64, background=0.3), '--size, --background has no meaning without --segment'),
        (dict(scores=True), '--scores has no meaning without --segment'),
    ],
)
def test_options_of_the_other_task_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        mmlgd.predict('x.pth', 'images', **options)


def test_a_map_of_many_names_is_read_back(lgd_checkpoint, tiny_clip, images, tmp_path):
    names = [f'thing {k}' for k in range(255)]
    options = dict(names=names, templates='plain', teacher_options=dict(model=tiny_clip), device='cpu')
    mmlgd.predict(lgd_checkpoint, images / 'class0/0.png', segment=True, out=tmp_path, **options)
    labels = torch.from_numpy(np.array(Image.open(tmp_path / 'labels/0.png')))
    student = mmlgd.Student(lgd_checkpoint, device='cpu', teacher=dict(model=tiny_clip))
    (found,) = student.with_names(names, 'plain').segment(images / 'class0/0.png')
    assert torch.equal(labels, found.labels)


def test_a_student_of_whole_images_gives_a_warning(lgd_checkpoint):
    with pytest.warns(UserWarning, match='was trained on whole images.*--dense'):
        mmlgd.Student(lgd_checkpoint, device='cpu').segmenter()
