"""Both banks as heat maps, and their drift over the checkpoints of a run."""

import matplotlib.text
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from mmlgd.checkpoints import CheckpointError, read_checkpoint
from mmlgd.cli.__main__ import main
from mmlgd.errors import ConfigError
from mmlgd.figures import banks, maps
from mmlgd.run.drawing import draw_banks, draw_map, draw_neighbours
from mmlgd.utils.files import WriteError
from tests.words import change_words


@pytest.fixture
def run(lgd_checkpoint, tmp_path):
    """Checkpoints of epochs 1 to 3: one row after another is visited, and drifts."""
    files = []
    for epoch in (3, 1, 2):
        checkpoint = torch.load(lgd_checkpoint, weights_only=True)
        state = checkpoint['state_dict']
        state['visual_bank.visited'] = torch.arange(5) <= epoch
        state['visual_bank.bank'] = state['textual_bank.bank'] + torch.randn(5, 32) / (5 * epoch)
        checkpoint['meta']['epoch'] = epoch
        files.append(str(tmp_path / f'epoch_{epoch}.pth'))
        torch.save(checkpoint, files[-1])
    return files


def test_heat_maps_and_drift(run, tmp_path):
    assert [file.name for file in draw_banks(run, out_dir=tmp_path / 'out')] == ['banks.png', 'drift.png']
    for name in ('banks', 'drift'):
        assert min(Image.open(tmp_path / f'out/{name}.png').size) > 300
    draw_banks([run[0]], out_dir=tmp_path / 'one')
    assert [file.name for file in (tmp_path / 'one').iterdir()] == ['banks.png']  # one checkpoint has no drift
    assert draw_banks(run[0]) == [tmp_path / 'banks.png']  # of the run, not in the current folder


def test_alike_prototypes_are_neighbours_and_the_unvisited_come_last():
    rows = np.eye(6)
    rows[4] = rows[1] + 0.1 * rows[0]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    visited = np.array([True, True, False, True, True, False])
    order = banks._alike_together(banks.Banks(1, list('abcdef'), rows, rows, visited)).tolist()
    assert sorted(order) == list(range(6)) and order[-2:] == [2, 5]
    assert abs(order.index(4) - order.index(1)) == 1


def test_many_classes_and_none_visited():
    rows = np.random.default_rng(0).normal(size=(60, 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    visited = np.arange(60) % 2 == 0
    run = [banks.Banks(e, [str(k) for k in range(60)], rows, rows, visited * (e > 1)) for e in (1, 2)]
    assert len(banks.cosines_of(run[1]).axes) == 6 and len(banks.drift_of(run).axes) == 3


def test_checkpoints_of_one_epoch_have_no_warning(run, tmp_path, recwarn):
    draw_banks([run[0], run[0]], out_dir=tmp_path)
    assert not [one for one in recwarn if 'identical' in str(one.message)]


def test_a_run_of_steps_is_in_the_order_of_its_steps(run, tmp_path, monkeypatch):
    """Its checkpoints are all of epoch 0, and a shell lists iter_10000.pth before iter_2000.pth."""
    files = []
    for step in (1000, 10000, 2000):
        checkpoint = torch.load(run[0], weights_only=True)
        checkpoint['meta'].update(epoch=0, iter=step)
        files.append(str(tmp_path / f'iter_{step}.pth'))
        torch.save(checkpoint, files[-1])
    drawn = {}
    monkeypatch.setattr('mmlgd.figures.looking.save', lambda figure, file: drawn.setdefault(file.name, figure))
    draw_banks(files, out_dir=tmp_path)
    assert 'after step 10000:' in drawn['banks.png'].texts[0].get_text()
    left, right, _ = drawn['drift.png'].axes
    assert left.get_xlabel() == right.get_xlabel() == 'step'
    assert left.lines[0].get_xdata().tolist() == [1000, 2000, 10000]
    assert [label.get_text() for label in right.get_xticklabels()] == ['1000', '2000', '10000']


def test_checkpoints_without_banks_or_of_different_runs(run, tmp_path):
    torch.save(dict(state_dict={'backbone.conv1.weight': torch.zeros(1)}), tmp_path / 'bare.pth')
    with pytest.raises(CheckpointError, match='bare.pth has no textual_bank.bank'):
        draw_banks([tmp_path / 'bare.pth'])
    seed = read_checkpoint(run[0])
    seed['state_dict']['visual_bank.pointer'] = torch.tensor(0)
    torch.save(seed, tmp_path / 'seed.pth')
    with pytest.raises(CheckpointError, match='seed.pth is a queue of images'):
        draw_banks([tmp_path / 'seed.pth'])
    other = read_checkpoint(run[0])
    change_words(other, class_names=list('abcde'))
    torch.save(other, tmp_path / 'other.pth')
    with pytest.raises(ConfigError, match='different class names'):
        draw_banks([run[1], tmp_path / 'other.pth'])


def test_names_are_drawn_as_they_are(oddly_named, tiny_clip, images, tmp_path, monkeypatch):
    """In all three figures; a name of 1,000 letters takes no more room than another."""
    drawn = []
    monkeypatch.setattr(matplotlib.text.Text, 'draw', spy_on(matplotlib.text.Text.draw, drawn))
    draw_banks([oddly_named, oddly_named], out_dir=tmp_path)
    draw_neighbours(oddly_named, [str(images)], max_images=2, out=tmp_path / 'n.png')
    monkeypatch.setattr(maps, 'layout', lambda rows, *_: np.arange(2.0 * len(rows)).reshape(-1, 2))
    draw_map(oddly_named, [str(images)], teacher_options=dict(model=tiny_clip), out=tmp_path / 'e.png')
    for name in ('banks', 'drift', 'n', 'e'):
        assert max(Image.open(tmp_path / f'{name}.png').size) < 4000
    assert any('$\\frac{$' in text for text in drawn)


def spy_on(draw, drawn):
    def spy(self, *args, **kwargs):
        drawn.append(self.get_text())
        return draw(self, *args, **kwargs)

    return spy


@pytest.mark.parametrize(
    'draw, options, message',
    [
        (draw_neighbours, dict(topk=0), 'from 1 to'),
        (draw_neighbours, dict(max_images=-1), 'from 1 to'),
        (draw_map, dict(classes=13), 'from 0 to 12'),
        (draw_map, dict(seed=-1), 'from 0 to'),
    ],
)
def test_odd_options(draw, options, message):
    with pytest.raises(ConfigError, match=message):
        draw('none.pth', ['none'], **options)


def test_a_place_that_cannot_be_written_to_is_found_before_the_work(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(WriteError, match='Cannot write'):
        draw_banks(['none.pth'], out_dir=tmp_path / 'file')
    for draw in (draw_map, draw_neighbours):
        with pytest.raises(WriteError, match='Cannot write'):
            draw('none.pth', ['none'], out=tmp_path / 'file/a.png')


@pytest.mark.parametrize('shown', ['map', 'banks', 'neighbours'])
def test_the_verb_has_its_options(shown):
    told = CliRunner().invoke(main, ['show', shown, '--help']).output
    assert '--out' in told and 'Draw' in told
