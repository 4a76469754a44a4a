"""A teacher's answers before a training: counts, labels, sheets, and what is refused."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import mmlgd
from mmlgd.cli.__main__ import main
from mmlgd.errors import MMLGDError
from mmlgd.figures import answers
from mmlgd.models import OpenCLIPTeacher
from mmlgd.run import asking
from mmlgd.student.images import find_images
from tests.test_models.test_teachers.test_pair import looker, pixels

NAMES = ['cat', 'dog', 'tree']


@pytest.fixture
def ask(tiny_clip, images, tmp_path):
    def ask(**options):
        given = dict(images=images, names=NAMES, teacher=tiny_clip, templates='plain', out=tmp_path / 'out')
        return mmlgd.ask_teacher(**{**given, **options})

    return ask


def test_the_report_is_that_of_the_teacher(ask, images, tiny_clip, tmp_path):
    report = ask()
    assert report.teacher == OpenCLIPTeacher(tiny_clip).identity and report.images == 12
    assert sum(report.answers.values()) == 12 and list(report.answers) == NAMES
    assert 1 <= report.told_apart <= 3 and isinstance(report.is_few, bool)
    told = json.loads((tmp_path / 'out/answers.json').read_text())
    given = [one['answer'] for one in told['each']]
    assert {name: given.count(name) for name in NAMES} == report.answers
    # Three class folders for three names, in their order: the labels.
    right = [one['answer'] == NAMES[int(one['image'].split('class')[1][0])] for one in told['each']]
    assert report.accuracy == pytest.approx(100 * np.mean(right))
    assert np.mean(list(report.found.values())) == pytest.approx(report.accuracy)  # four images each
    hits = sum(report.right[name] / 100 * count for name, count in report.answers.items() if count)
    assert hits == pytest.approx(12 * report.accuracy / 100) and len(report.right) == len(set(given))
    assert all(min(Image.open(tmp_path / 'out' / file).size) > 300 for file in ('examples.png', 'unsure.png'))


def test_a_pair_tells_as_many_names_apart_as_its_words(ask, tiny_clip):
    words, looks = dict(type='mmlgd.OpenCLIPTeacher', model=tiny_clip), looker()
    looks['statistics'] = mmlgd.TeacherPair(words, looks).measured([pixels(16)])
    pair = dict(type='mmlgd.TeacherPair', words=words, looks=looks, looks_share=0.75)
    assert ask(teacher=pair).told_apart == pytest.approx(ask().told_apart, rel=1e-3)


def test_without_a_folder_for_each_name_there_are_no_labels(ask):
    report = ask(names=['cat', 'dog'])
    assert report.accuracy is None and report.right == report.found == {}


def test_the_images_are_those_of_a_training_at_its_size(ask, monkeypatch):
    seen = []
    embed = OpenCLIPTeacher.encode_image
    monkeypatch.setattr(OpenCLIPTeacher, 'encode_image', lambda *args: seen.append(args[1].shape) or embed(*args))
    assert ask(size=32, max_images=5).images == 5
    ask(max_images=5)
    assert [tuple(shape[-2:]) for shape in seen] == [(32, 32), (64, 64)]  # the tower's own: 64


@pytest.mark.parametrize('counts, rare', [(dict(a=99, b=1, c=0), ['b', 'c']), (dict(a=4, b=4, c=4), [])])
def test_rare_names(counts, rare):
    images = sum(counts.values())
    report = asking.TeacherReport('out', 't', list(counts), images, images, counts, 1.0, True, None, {}, {}, 0.0)
    assert report.rare == rare


def test_many_names_have_the_most_and_the_least_frequent_on_their_sheet(tmp_path, images, monkeypatch):
    drawn = {}
    monkeypatch.setattr(answers, '_draw', lambda rows, *args: drawn.update(rows=rows))
    sources = find_images(str(images)) * 20
    nearest = torch.tensor([k for k in range(20) for _ in range(k + 1)])
    scores = torch.zeros(len(nearest), 20)
    scores[torch.arange(len(nearest)), nearest] = 1
    best = scores.max(dim=1)
    answers.draw_examples(sources, best, [f'name {k}' for k in range(20)], None, tmp_path / 'sheet.png')
    counts = [int(heading.split(': ')[1]) for heading, _ in drawn['rows']]
    assert counts == [*range(20, 12, -1), *range(8, 0, -1)]


def test_the_command_prints_a_table(tiny_clip, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'names.txt').write_text('cat\ndog\ntree\n')
    options = ['--images', str(images), '--names', 'names.txt', '--teacher', tiny_clip, '--templates', 'plain']
    told = CliRunner().invoke(main, ['teacher', *options])
    assert told.exit_code == 0, told.output
    assert 'of 3 names apart' in told.output and 'by their class folders' in told.output
    assert f'work_dirs/teacher_{images.parent.name}_{images.name}: examples.png' in told.output


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(images='no/such'), 'no image and no folder'),
        (dict(names=['cat']), 'give two or more'),
        (dict(size=8), '--size'),
        (dict(teacher='RN51'), 'open_clip has no model'),
    ],
)
def test_what_cannot_be_used_is_named_before_the_work(ask, options, message, monkeypatch):
    monkeypatch.setattr(OpenCLIPTeacher, '__init__', lambda *args: pytest.fail('it has begun to work'))
    with pytest.raises(MMLGDError, match=message):
        ask(**options)


def test_the_report_is_not_written_among_the_images(ask, images):
    with pytest.raises(MMLGDError, match='lies in the folder of images'):
        ask(out=images / 'report')
