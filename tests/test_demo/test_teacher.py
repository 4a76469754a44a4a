"""The stand-in teacher: the captions of quarters stay with their quarters, from the files to the loss."""

import torch

from mmlgd.demo import teacher, write_demo_world


def test_captions_of_quarters_are_read_by_image(tmp_path):
    world = write_demo_world(tmp_path / 'world', num_objects=(20, 10), num_scenes=(10, 10))
    images = teacher._load(world, list)  # texts in place of tokens
    assert images.pixels.shape == (20, 3, 64, 64) and images.quarters.shape == (20, 2, 2)
    assert '' not in images.quarter_captions and -1 in images.quarters
    for line, found in zip((world / 'quarters.txt').read_text().splitlines(), images.quarters.flatten(1).tolist()):
        assert [images.quarter_captions[k] if k >= 0 else '' for k in found] == line.split('\t')[1:]


def test_flips_and_shifts_keep_the_captions_with_their_quarters():
    quarters = torch.arange(4).view(1, 2, 2)
    pixels = (60 * quarters).repeat_interleave(32, 1).repeat_interleave(32, 2)[:, None].expand(1, 3, 64, 64).byte()
    orders = set()
    for seed in range(10):
        torch.manual_seed(seed)
        moved, captions = teacher._jitter(pixels, quarters)
        middles = moved[0, 0, 16::32, 16::32].flatten()  # shifts are far smaller than a quarter
        assert middles.argsort().argsort().tolist() == captions.flatten().tolist()
        orders.add(tuple(captions.flatten().tolist()))
    assert orders == {(0, 1, 2, 3), (1, 0, 3, 2)}
