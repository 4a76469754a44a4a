"""The report on names: what the teacher confuses, cuts and never sees."""

import json
import os

import pytest
from click.testing import CliRunner
from PIL import Image

import mmlgd
from mmlgd.cli.__main__ import main
from mmlgd.errors import MMLGDError
from mmlgd.models import OpenCLIPTeacher
from mmlgd.run import naming
from mmlgd.utils.files import WriteError

LONG = 'a very long name of a red panda that goes on and on until no tower reads it'


@pytest.fixture
def report(tiny_clip, tmp_path):
    def report(names, **options):
        options = {**dict(teacher=tiny_clip, templates='plain', out=tmp_path / 'out'), **options}
        return mmlgd.report_names(names, **options)

    return report


def test_a_report_has_files_and_the_rows_of_training(report, tiny_clip, tmp_path):
    names = ['cat|kitty', 'dog', 'ashcan', LONG]
    found = report(names)
    assert found.names == names and found.teacher == OpenCLIPTeacher(tiny_clip).identity
    assert 1 <= found.effective <= 4 and len(found.pairs) == 1 and found.pairs[0][2] > found.threshold
    assert found.cut_off == [LONG]  # this tower reads 16 tokens
    assert found.in_pieces['ashcan'] > 1 and not {'cat', 'dog', 'panda'} & set(found.in_pieces)
    assert not found.answers and found.effective_answers is None and not found.unused
    told = json.loads((tmp_path / 'out/names.json').read_text())
    assert told['names'] == names and told['pairs'] == [list(pair) for pair in found.pairs]
    assert min(Image.open(tmp_path / 'out/names.png').size) > 300


def test_each_image_has_a_nearest_name(report, images):
    found = report(['cat', 'dog', 'tree'], images=str(images), max_images=7)
    assert found.images == sum(found.answers.values()) == 7
    assert found.unused == [name for name in ('cat', 'dog', 'tree') if not found.answers[name]]
    assert 1 <= found.effective_answers <= 3


@pytest.mark.filterwarnings('ignore:.*It is skipped')
def test_images_that_cannot_be_read_are_skipped_but_not_all(report, images, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    (folder / 'a.png').write_text('no image')
    with pytest.raises(MMLGDError, match='None of the 1 images can be read'):
        report(['cat', 'dog'], images=[str(folder)])
    assert report(['cat', 'dog'], images=[str(folder), str(images)]).images == 12


def test_the_command_shows_it(tiny_clip, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine.txt').write_text(f'road | street\ncar\n{LONG}\n')
    arguments = ['names', 'mine.txt', '--teacher', tiny_clip, '--templates', 'plain', '--images', str(images)]
    told = CliRunner().invoke(main, arguments)
    assert told.exit_code == 0, told.output
    assert 'by the names alone: ' in told.output and ' of 3\n' in told.output and 'road|street' in told.output
    assert f'Cut off: the text tower does not read these to their end:\n  {LONG}' in told.output
    assert 'by the answers to 12 images' in told.output and 'Several senses' not in told.output
    assert (tmp_path / 'work_dirs/names_mine/names.png').is_file()


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(names=['cat']), 'give two or more'),
        (dict(names='no_such_set'), '^There is no file of names .*one of'),  # the command has no --names
        (dict(templates='none such'), 'Unknown set of prompt templates'),
        (dict(max_images=0), 'images from 1'),
        (dict(images='no/such/folder'), 'There is no image'),
        (dict(teacher='RN51'), 'open_clip has no model'),
        (dict(images='photos', out='photos/names'), 'The report .* lies in the folder of images'),
    ],
)
def test_what_cannot_be_used_is_named_before_the_work(report, options, message, monkeypatch):
    monkeypatch.setattr(OpenCLIPTeacher, '__init__', lambda *args: pytest.fail('it has begun to work'))
    options = {**dict(names=['cat', 'dog']), **options}
    with pytest.raises(MMLGDError, match=message):
        report(options.pop('names'), **options)


def test_a_missing_package_is_named_before_the_work(report, monkeypatch):
    monkeypatch.setattr(naming, 'find_spec', lambda name: None)
    with pytest.raises(MMLGDError, match='needs scipy'):
        report(['cat', 'dog'], teacher='no such teacher')


def test_a_folder_may_have_any_name(report, tmp_path):
    found = report(['cat', 'dog'], out=tmp_path / os.fsdecode(b'names \xff'))
    assert json.loads((found.out / 'names.json').read_text())['out'] == str(found.out)


def test_a_folder_that_cannot_be_written_is_refused_first(report, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(WriteError):
        report(['cat', 'dog'], out=tmp_path / 'file')
