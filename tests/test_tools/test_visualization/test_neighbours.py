"""Nearest names and prototypes: the right ones, of the rows that mean something."""

import pytest
import torch
from PIL import Image

import mmlgd


def test_a_picture_of_pictures(load, lgd_checkpoint, pictures, tmp_path):
    out = tmp_path / 'neighbours.png'
    load('neighbours').main([str(lgd_checkpoint), str(pictures), '--max-pictures', '3', '--out', str(out)])
    assert min(Image.open(out).size) > 300


@pytest.fixture
def visited(lgd_checkpoint, tmp_path):
    checkpoint = torch.load(lgd_checkpoint, weights_only=True)
    checkpoint['state_dict']['visual_bank.visited'] = torch.tensor([False, True, False, True, False])
    torch.save(checkpoint, tmp_path / 'visited.pth')
    return str(tmp_path / 'visited.pth')


def test_only_visited_rows_are_prototypes(load, visited, pictures, tmp_path):
    tool = load('neighbours')
    names, rows = tool.read_prototypes(visited)
    assert names == ['dog', 'tree'] and rows.shape == (2, 32)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(2))
    tool.main([visited, str(pictures), '--out', str(tmp_path / 'n.png'), '--max-pictures', '2'])


def test_a_queue_holds_no_prototypes(load, lgd_checkpoint, tmp_path):
    checkpoint = torch.load(lgd_checkpoint, weights_only=True)
    checkpoint['state_dict']['visual_bank.pointer'] = torch.tensor(0)
    torch.save(checkpoint, tmp_path / 'seed.pth')
    assert load('neighbours').read_prototypes(str(tmp_path / 'seed.pth'))[0] == []


def test_the_nearest_are_those_of_the_inferencer(load, lgd_checkpoint, pictures, tiny_clip):
    tool = load('neighbours')
    parser = tool.figure_parser('')
    args = parser.parse_args([str(lgd_checkpoint), str(pictures), '--names', str(pictures / 'names.txt')])
    args.names, args.teacher_options = ['cow', 'hen', 'pig'], dict(model=tiny_clip)
    seen = tool.look(args, limit=4, with_teacher=False)
    nearest = tool._nearest(seen.student, seen.names, seen.bank, topk=9)
    inferencer = mmlgd.ZeroShotInferencer(lgd_checkpoint, args.names, teacher=dict(model=tiny_clip), device='cpu')
    for picture, found in zip(seen.pictures, nearest):
        (result,) = inferencer(str(picture))
        assert [name for name, _ in found] == [name for name, _ in result['topk']]
    assert seen.teacher is None and len(seen.pictures) == 4
