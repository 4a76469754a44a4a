"""Both banks as heat maps, and their drift over the checkpoints of a run."""

import matplotlib.text
import numpy as np
import pytest
import torch
from PIL import Image

from mmlgd.checkpoints import CheckpointError, read_checkpoint
from mmlgd.utils.files import WriteError


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


def test_heat_maps_and_drift(load, run, tmp_path):
    load('banks').main([*run, '--out-dir', str(tmp_path / 'out')])
    for name in ('banks', 'drift'):
        assert min(Image.open(tmp_path / f'out/{name}.png').size) > 300
    load('banks').main([run[0], '--out-dir', str(tmp_path / 'one')])
    assert [file.name for file in (tmp_path / 'one').iterdir()] == ['banks.png']  # one checkpoint has no drift


def test_alike_prototypes_are_neighbours_and_the_unvisited_come_last(load):
    tool = load('banks')
    rows = np.eye(6)
    rows[4] = rows[1] + 0.1 * rows[0]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    visited = np.array([True, True, False, True, True, False])
    order = tool._alike_together(tool.Banks(1, list('abcdef'), rows, rows, visited)).tolist()
    assert sorted(order) == list(range(6)) and order[-2:] == [2, 5]
    assert abs(order.index(4) - order.index(1)) == 1


def test_many_classes_and_none_visited(load, tmp_path):
    tool = load('banks')
    rows = np.random.default_rng(0).normal(size=(60, 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    visited = np.arange(60) % 2 == 0
    run = [tool.Banks(e, [str(k) for k in range(60)], rows, rows, visited * (e > 1)) for e in (1, 2)]
    tool.draw_banks(run[1], tmp_path / 'many.png')
    tool.draw_drift(run, tmp_path / 'drift.png')
    assert (tmp_path / 'many.png').is_file() and (tmp_path / 'drift.png').is_file()


def test_checkpoints_without_banks_or_of_different_runs(load, run, tmp_path, capsys):
    torch.save(dict(state_dict={'backbone.conv1.weight': torch.zeros(1)}), tmp_path / 'bare.pth')
    with pytest.raises(CheckpointError, match='bare.pth has no textual_bank.bank'):
        load('banks').main([str(tmp_path / 'bare.pth')])
    seed = read_checkpoint(run[0])
    seed['state_dict']['visual_bank.pointer'] = torch.tensor(0)
    torch.save(seed, tmp_path / 'seed.pth')
    with pytest.raises(CheckpointError, match='seed.pth is a queue of images'):
        load('banks').main([str(tmp_path / 'seed.pth')])
    other = read_checkpoint(run[0])
    other['state_dict']['textual_bank._extra_state']['class_names'] = list('abcde')
    torch.save(other, tmp_path / 'other.pth')
    with pytest.raises(SystemExit):
        load('banks').main([run[1], str(tmp_path / 'other.pth')])
    assert 'different class names' in capsys.readouterr().err


def test_names_are_drawn_as_they_are(load, oddly_named, tiny_clip, pictures, tmp_path, monkeypatch):
    """By all three tools; a name of 1,000 letters takes no more room than another."""
    drawn = []
    monkeypatch.setattr(matplotlib.text.Text, 'draw', spy_on(matplotlib.text.Text.draw, drawn))
    load('banks').main([oddly_named, oddly_named, '--out-dir', str(tmp_path)])
    load('neighbours').main([oddly_named, str(pictures), '--max-pictures', '2', '--out', str(tmp_path / 'n.png')])
    embeddings = load('embeddings')
    monkeypatch.setattr(embeddings, 'layout', lambda rows, *_: np.arange(2.0 * len(rows)).reshape(-1, 2))
    teacher = ['--teacher-options', f'model={tiny_clip}']
    embeddings.main([oddly_named, str(pictures), *teacher, '--out', str(tmp_path / 'e.png')])
    for name in ('banks', 'drift', 'n', 'e'):
        assert max(Image.open(tmp_path / f'{name}.png').size) < 4000
    assert any('$\\frac{$' in text for text in drawn)


def spy_on(draw, drawn):
    def spy(self, *args, **kwargs):
        drawn.append(self.get_text())
        return draw(self, *args, **kwargs)

    return spy


@pytest.mark.parametrize(
    'name, options, message',
    [
        ('neighbours', ['--topk', '0'], 'from 1 to'),
        ('neighbours', ['--max-pictures', '-1'], 'from 1 to'),
        ('embeddings', ['--classes', '13'], 'from 0 to 12'),
        ('embeddings', ['--seed', '-1'], 'from 0 to'),
    ],
)
def test_odd_options(load, name, options, message, capsys):
    with pytest.raises(SystemExit):
        load(name).main(['none.pth', 'none', *options])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize('name', ['banks', 'neighbours', 'embeddings'])
def test_a_place_that_cannot_be_written_to_is_found_before_the_work(load, name, tmp_path):
    (tmp_path / 'file').touch()
    pictures = [] if name == 'banks' else ['none']
    out = ['--out-dir', str(tmp_path / 'file')] if name == 'banks' else ['--out', str(tmp_path / 'file/a.png')]
    with pytest.raises(WriteError, match='Cannot write'):
        load(name).main(['none.pth', *pictures, *out])
