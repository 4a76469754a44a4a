"""Labelled images that the tests of evaluation share."""

import pytest
from PIL import Image

from mmlgd.demo import DEMO_CLASSES, write_demo_world


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    return write_demo_world(tmp_path_factory.mktemp('world') / 'demo', num_objects=(60, 20), num_scenes=(10, 10))


@pytest.fixture(scope='module')
def folders(tmp_path_factory, world):
    """The same images in class folders, which are sorted: their labels are not those of the world."""
    root = tmp_path_factory.mktemp('folders')
    for split in ('train', 'val'):
        for line in (world / f'objects/{split}.txt').read_text().splitlines():
            file, label = line.split()
            target = root / split / DEMO_CLASSES[int(label)] / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(world / 'objects' / split / file)
    return root


@pytest.fixture
def photos(tmp_path):
    """Write two classes of a few images, no two of one size."""

    def write(root=tmp_path / 'photos', sizes=((40, 60), (80, 50), (64, 64), (33, 90))):
        for split in ('train', 'val'):
            for k, size in enumerate(sizes):
                file = root / split / 'ab'[k % 2] / f'{k}.png'
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.effect_noise(size, 50).convert('RGB').save(file)
        return root

    return write
