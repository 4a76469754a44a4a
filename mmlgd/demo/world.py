"""The demo world on disk: drawn, fully annotated images that need no download.

Named objects on textured grounds, with one vocabulary for classification, detection and
segmentation, in the formats that stock OpenMMLab data sets read; it needs no data set class of its own.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from mmlgd.errors import ConfigError

from .images import DEMO_CLASSES, SPLITS, render_object, render_scene

VERSION = 2  # increase it when the same arguments give other files: worlds are then drawn again
# The files that are written and may be replaced.
OWNED = ('objects', 'scenes', 'captions.txt', 'quarters.txt', 'names.txt')


def write_demo_world(root, seed=0, num_objects=(4000, 500), num_scenes=(400, 100), object_size=64, scene_size=128):
    """Write the demo world to disk, once.

    ``root`` then holds, with ``<split>`` in train, val:

    - ``objects/<split>/*.png`` and ``objects/<split>.txt``, lines ``file label``: one object each.
      ``mmpretrain.CustomDataset(data_root=root, ann_file='objects/val.txt',
      data_prefix='objects/val')``, with ``metainfo=dict(classes=DEMO_CLASSES)`` for the names.
    - ``scenes/<split>/*.png`` and ``scenes/<split>.json``: COCO instances with RLE masks,
      category id k + 1 for class k. ``mmdet.CocoDataset(data_root=root,
      ann_file='scenes/val.json', data_prefix=dict(img='scenes/val'),
      metainfo=dict(classes=DEMO_CLASSES))``.
    - ``scenes/masks/<split>/*.png``: 8-bit index masks, 0 = background, k + 1 = class k.
      ``mmseg.BaseSegDataset(data_root=root, data_prefix=dict(img_path='scenes/val',
      seg_map_path='scenes/masks/val'), img_suffix='.png',
      metainfo=dict(classes=('background', *DEMO_CLASSES)))``.
    - ``captions.txt``: lines ``file<TAB>caption`` for objects/train, file relative to ``root``.
    - ``quarters.txt``: the same files in the same order, lines ``file<TAB>caption<TAB>...`` with a caption for each
      quarter: top left, top right, bottom left, bottom right. A quarter with some of the object has an empty one.
    - ``names.txt``: the class names in label order, one a line.
    - ``world.json``: the arguments, written last. A second call that finds it writes nothing.

    Args:
        root (str | Path): Folder to write: new, empty, or with an earlier demo world, which a call with other arguments
            replaces.
        seed (int): Seed of the world, >= 0. Defaults to 0.
        num_objects (tuple[int, int]): Images in objects/train and objects/val, each at least
            one a class. Defaults to (4000, 500).
        num_scenes (tuple[int, int]): The same for the scenes. Defaults to (400, 100).
        object_size (int): Side of the object images in pixels, 32..1024. Defaults to 64.
        scene_size (int): Side of the scenes in pixels, 64..1024. Defaults to 128.

    Returns:
        Path: ``root``.

    Raises:
        ValueError: An argument is out of its range.
        FileExistsError: ``root`` holds files but is not a demo world.

    Example:
        >>> import tempfile
        >>> from mmlgd.demo import DEMO_CLASSES, write_demo_world
        >>> root = write_demo_world(tempfile.mkdtemp(), num_objects=(10, 10), num_scenes=(10, 10))
        >>> (root / 'names.txt').read_text().split() == list(DEMO_CLASSES)
        True
    """
    root = Path(root)
    stamp = dict(
        version=VERSION,
        seed=_whole('seed', seed, 0),
        num_objects=_counts('num_objects', num_objects),
        num_scenes=_counts('num_scenes', num_scenes),
        object_size=_whole('object_size', object_size, 32, 1024),
        scene_size=_whole('scene_size', scene_size, 64, 1024),
        classes=list(DEMO_CLASSES),
    )
    done = root / 'world.json'
    if done.is_file() and _read_json(done) == stamp:
        return root
    if not done.is_file() and root.exists() and any(root.iterdir()):
        raise FileExistsError(
            f'{root} holds files but no world.json, so it is not a demo world. Give a new or an empty folder, or '
            f'delete this one if it is an incomplete world.'
        )
    root.mkdir(parents=True, exist_ok=True)
    # Draw in a folder beside it and move it when complete: an interrupted call keeps the old world, and world.json
    # never exists beside an incomplete world.
    with tempfile.TemporaryDirectory(prefix=f'.{root.name}-', dir=root.parent) as draft:
        draft = Path(draft)
        _write_objects(draft, stamp)
        _write_scenes(draft, stamp)
        (draft / 'names.txt').write_text('\n'.join(DEMO_CLASSES) + '\n')
        (draft / 'world.json').write_text(json.dumps(stamp, indent=1) + '\n')
        done.unlink(missing_ok=True)
        for name in OWNED:
            if (root / name).is_dir():
                shutil.rmtree(root / name)
            (draft / name).replace(root / name)
        (draft / 'world.json').replace(done)
    return root


def _write_objects(root, stamp):
    captions, quarters = [], []
    for split, count in zip(SPLITS, stamp['num_objects']):
        folder = root / 'objects' / split
        folder.mkdir(parents=True)
        lines = []
        for index in range(count):
            name = f'{index:05d}.png'
            image, label, caption, parts = render_object(stamp['seed'], split, index, stamp['object_size'])
            _save(image, folder / name)
            lines.append(f'{name} {label}\n')
            if split == 'train':
                captions.append(f'objects/train/{name}\t{caption}\n')
                quarters.append('\t'.join([f'objects/train/{name}', *parts]) + '\n')
        (root / 'objects' / f'{split}.txt').write_text(''.join(lines))
    (root / 'captions.txt').write_text(''.join(captions))
    (root / 'quarters.txt').write_text(''.join(quarters))


def _write_scenes(root, stamp):
    size = stamp['scene_size']
    categories = [dict(id=k + 1, name=name) for k, name in enumerate(DEMO_CLASSES)]
    for split, count in zip(SPLITS, stamp['num_scenes']):
        folder, mask_folder = root / 'scenes' / split, root / 'scenes' / 'masks' / split
        folder.mkdir(parents=True)
        mask_folder.mkdir(parents=True)
        images, annotations = [], []
        for index in range(count):
            name = f'{index:05d}.png'
            image, labels, masks = render_scene(stamp['seed'], split, index, size)
            _save(image, folder / name)
            # The masks do not overlap, so their weighted sum is the index mask.
            index_mask = ((labels[:, None, None] + 1) * masks).sum(axis=0).astype(np.uint8)
            _save(index_mask, mask_folder / name)
            images.append(dict(id=index + 1, file_name=name, width=size, height=size))
            for label, mask in zip(labels, masks):
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=index + 1,
                        category_id=int(label) + 1,
                        iscrowd=0,
                        **_annotate(mask),
                    )
                )
        coco = dict(images=images, annotations=annotations, categories=categories)
        (root / 'scenes' / f'{split}.json').write_text(json.dumps(coco))


def _save(pixels, path):
    Image.fromarray(pixels).save(path, compress_level=3)


def _annotate(mask):
    """Compute COCO's box (x, y, w, h), area, and RLE: run lengths column by column, background first.

    RLE instead of polygons, because a ring has a hole and a partly hidden object can have several parts.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    flat = np.concatenate([[0], mask.T.ravel().astype(int), [2]])  # the 2 closes the last run
    counts = np.diff(np.flatnonzero(np.diff(flat)), prepend=0)
    return dict(
        bbox=[x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1],
        area=int(mask.sum()),
        segmentation=dict(size=list(mask.shape), counts=counts.tolist()),
    )


def _whole(name, value, low, high=2**31 - 1):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ConfigError(f'{name} must be a whole number from {low} to {high}, got {value!r}')
    return int(value)


def _counts(name, value):
    if not isinstance(value, (tuple, list)) or len(value) != len(SPLITS):
        raise ConfigError(f'{name} must be two whole numbers, (train, val), got {value!r}')
    # At least one image per class: otherwise an evaluation would miss classes.
    return [_whole(f'{name} of {split}', v, len(DEMO_CLASSES)) for split, v in zip(SPLITS, value)]


def _read_json(path):
    try:
        return json.loads(path.read_text())
    except ValueError:
        return None  # damaged or edited: draw the world again
