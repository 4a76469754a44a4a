"""Names for images, as a function and as a command."""

import csv
import json
import os

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import mmlgd
from mmlgd.cli.__main__ import main
from mmlgd.errors import ConfigError
from mmlgd.utils.files import WriteError
from tests import children
from tests.pretended_card import pretended_card


@pytest.mark.filterwarnings('ignore:.*is skipped')
def test_names_with_scores_by_the_function(lgd_checkpoint, images, tmp_path):
    (tmp_path / 'bad.png').write_bytes(b'no image')
    results = mmlgd.predict(lgd_checkpoint, [images, tmp_path], topk=2, device='cpu', out=tmp_path / 'a.csv')
    assert [result['image'] for result in results] == sorted(map(str, images.rglob('*.png')))
    student = mmlgd.Student(lgd_checkpoint, device='cpu')
    scores, best = student.scores(images).topk(2)
    assert [[name for name, _ in one['names']] for one in results] == [
        [student.names[k] for k in row] for row in best.tolist()
    ]
    torch.testing.assert_close(torch.tensor([[s for _, s in one['names']] for one in results]), scores)
    rows = list(csv.DictReader((tmp_path / 'a.csv').open()))
    assert len(rows) == 24 and rows[1]['rank'] == '2' and rows[1]['name'] == results[0]['names'][1][0]
    with pytest.raises(ConfigError, match='bad.png cannot be read'):
        mmlgd.predict(lgd_checkpoint, tmp_path, on_error='raise', device='cpu')


@pytest.mark.filterwarnings('ignore:.*was trained on whole images')
@pytest.mark.parametrize('segment', [False, True])
def test_the_device_is_that_of_the_teacher_too(lgd_checkpoint, images, tiny_clip, segment):
    """Who asks for the CPU may have a GPU that is full."""
    options = dict(names=['boat', 'red hen'], teacher_options=dict(model=tiny_clip), segment=segment)
    with pretended_card() as card:
        expected = mmlgd.predict(lgd_checkpoint, images / 'class0', device='cpu', **options)
        assert card.waits == []  # nothing was moved there
        found = mmlgd.predict(lgd_checkpoint, images / 'class0', **options)
        assert card.waits != []
    assert [one['image'] for one in found] == [one['image'] for one in expected]


def test_one_image_is_counted_as_one(lgd_checkpoint, images, tmp_path):
    arguments = ['predict', str(lgd_checkpoint), str(next((images / 'class0').iterdir())), '--show-dir', str(tmp_path)]
    assert CliRunner().invoke(main, arguments).stderr.endswith(f'1 image, in {tmp_path}\n')


def test_other_names_by_the_command(lgd_checkpoint, images, tiny_clip, tmp_path):
    arguments = ['predict', str(lgd_checkpoint), str(images / 'class0'), '--teacher-options', f'model={tiny_clip}']
    told = CliRunner().invoke(main, [*arguments, '--names', 'boat', 'red hen', '--out', str(tmp_path / 'a.json')])
    assert told.exit_code == 0, told.output
    results = json.loads((tmp_path / 'a.json').read_text())
    assert told.stderr.endswith(f'4 images, in {tmp_path}/a.json\n')
    lines = told.stdout.splitlines()
    assert len(results) == len(lines) == 4
    for line, result in zip(lines, results):
        assert {name for name, _ in result['names']} == {'boat', 'red hen'}
        name, score = result['names'][0]
        assert line.startswith(f'{result["image"]}: {name} {score:.3f}, ')
    (tmp_path / 'names.txt').write_text('boat\nred hen\n')
    again = mmlgd.predict(
        lgd_checkpoint,
        images / 'class0',
        names=tmp_path / 'names.txt',
        teacher_options=dict(model=tiny_clip),
        show_dir=tmp_path / 'shown',
    )
    assert json.loads(json.dumps(again)) == results
    assert Image.open(tmp_path / 'shown/0.png').width == 360  # 48 pixels, enlarged; the name stands above them


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(out='a.txt'), 'ends with .csv or .json'),
        (dict(out='results.csv'), "'results.csv' is a folder"),
        (dict(topk=0), 'topk from 1'),
        (dict(batch_size=0), 'batch size from 1'),
    ],
)
def test_bad_options_are_named_before_the_work(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'results.csv').mkdir()
    with pytest.raises(ConfigError, match=message):
        mmlgd.predict('x.pth', 'images', **options)


def test_one_array_is_one_image_and_what_is_no_image_is_refused(lgd_checkpoint, tmp_path):
    pixels = np.zeros((40, 48, 3), np.uint8)
    (one,) = mmlgd.predict(lgd_checkpoint, pixels, device='cpu', out=tmp_path / 'new/folder/a.csv')
    assert mmlgd.predict(lgd_checkpoint, {pixels.tobytes(): pixels}.values(), device='cpu') == [one]
    assert (tmp_path / 'new/folder/a.csv').is_file()
    for images, message in ((None, 'got a NoneType'), (Image.new('RGB', (8, 8)), 'From PIL'), ('', 'is empty')):
        with pytest.raises(ConfigError, match=message):
            mmlgd.predict(lgd_checkpoint, images, device='cpu')


def test_a_file_is_no_folder_for_drawn_images(tmp_path):
    (tmp_path / 'mine.png').touch()
    with pytest.raises(WriteError, match='mine.png: Not a directory'):
        mmlgd.predict('no.pth', 'no.png', show_dir=tmp_path / 'mine.png')
    with pytest.raises(WriteError, match='mine.png: Not a directory'):
        mmlgd.predict('no.pth', 'no.png', segment=True, out=tmp_path / 'mine.png')


def print_into(file):
    os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), 1)


@children.in_one_worker
def test_nothing_but_results_is_on_standard_output(lgd_checkpoint, images, tiny_clip, tmp_path):
    arguments = [lgd_checkpoint, images / 'class0', '--names', 'boat', 'hen', '--show-dir', tmp_path / 'a']
    arguments += ['--teacher-options', f'model={tiny_clip}']
    call = (children.verb, 'predict', arguments, print_into, tmp_path / 'printed')
    code, log = children.run(*call, log=tmp_path / 'log')
    assert code == 0, log
    lines = (tmp_path / 'printed').read_text().splitlines()
    assert [line.split(': ')[0] for line in lines] == sorted(map(str, (images / 'class0').iterdir()))
