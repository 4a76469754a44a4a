"""Nearest names and prototypes: the right ones, of the rows that mean something."""

import pytest
import torch
from PIL import Image

import mmlgd
from mmlgd.figures.looking import look
from mmlgd.figures.neighbours import _nearest, read_prototypes


def test_an_image_of_images(lgd_checkpoint, images, tmp_path):
    out = tmp_path / 'neighbours.png'
    mmlgd.draw_neighbours(str(lgd_checkpoint), [str(images)], max_images=3, out=out)
    assert min(Image.open(out).size) > 300


@pytest.fixture
def visited(lgd_checkpoint, tmp_path):
    checkpoint = torch.load(lgd_checkpoint, weights_only=True)
    checkpoint['state_dict']['visual_bank.visited'] = torch.tensor([False, True, False, True, False])
    torch.save(checkpoint, tmp_path / 'visited.pth')
    return str(tmp_path / 'visited.pth')


def test_only_visited_rows_are_prototypes(visited, images, tmp_path):
    names, rows = read_prototypes(visited)
    assert names == ['dog', 'tree'] and rows.shape == (2, 32)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(2))
    mmlgd.draw_neighbours(visited, [str(images)], max_images=2, out=tmp_path / 'n.png')


def test_a_queue_holds_no_prototypes(lgd_checkpoint, tmp_path):
    checkpoint = torch.load(lgd_checkpoint, weights_only=True)
    checkpoint['state_dict']['visual_bank.pointer'] = torch.tensor(0)
    torch.save(checkpoint, tmp_path / 'seed.pth')
    assert read_prototypes(str(tmp_path / 'seed.pth'))[0] == []


def test_the_nearest_are_those_of_the_inferencer(lgd_checkpoint, images, tiny_clip):
    names, teacher = ['cow', 'hen', 'pig'], dict(model=tiny_clip)
    seen = look(str(lgd_checkpoint), str(images), 4, False, names, teacher)
    nearest = _nearest(seen.student, seen.names, seen.bank, topk=9)
    inferencer = mmlgd.ZeroShotInferencer(lgd_checkpoint, names, teacher=teacher, device='cpu')
    for image, found in zip(seen.images, nearest):
        (result,) = inferencer(str(image))
        assert [name for name, _ in found] == [name for name, _ in result['topk']]
    assert seen.teacher is None and len(seen.images) == 4
