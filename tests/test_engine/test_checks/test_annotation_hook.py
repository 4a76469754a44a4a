import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset
from PIL import Image
from torch import nn

from mmlgd.datasets import LoadImageFromFile
from mmlgd.engine import AnnotationCheckHook
from mmlgd.engine.checks import annotation_hook

NAMES = ('red cell', 'white cell', 'platelet')


def loop(dataset):
    return SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))


def check(train, val=None, num_classes=3):
    model = nn.ModuleDict(dict(rpn_head=nn.Identity(), head=nn.Identity()))
    model['rpn_head'].num_classes, model['head'].num_classes = 1, num_classes
    logger = logging.getLogger('test')
    val_loop = loop(val) if val else dict(type='ValLoop')  # what a runner without evaluation holds
    AnnotationCheckHook().before_run(
        SimpleNamespace(model=model, logger=logger, _train_loop=loop(train), _val_loop=val_loop)
    )


@pytest.fixture
def coco(tmp_path):
    """Make a COCO data set of one image: categories of the file, names of the config."""
    CocoDataset = pytest.importorskip('mmdet.datasets').CocoDataset

    def make(categories, classes=NAMES):
        content = dict(
            images=[dict(id=1, file_name='a.jpg', width=64, height=64)],
            annotations=[dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 9, 9], area=81, iscrowd=0)],
            categories=[dict(id=k, name=name) for k, name in enumerate(categories, start=1)],
        )
        if not (tmp_path / 'a.jpg').exists():
            Image.new('RGB', (64, 64)).save(tmp_path / 'a.jpg')
        path = tmp_path / f'{len(list(tmp_path.iterdir()))}.json'
        path.write_text(json.dumps(content))
        return CocoDataset(
            data_root=str(tmp_path), ann_file=path.name, data_prefix=dict(img=''), metainfo=dict(classes=classes)
        )

    return make


def test_names_that_are_the_categories(coco, caplog):
    check(coco(NAMES), val=coco(NAMES))
    check(RepeatDataset(coco(NAMES), times=2), val=ConcatDataset([coco(NAMES), coco(NAMES)]))
    assert not caplog.messages


def test_a_name_that_is_no_category(coco):
    message = (
        r'json has categories for 2 of 3 class names\. Names without a category: red cell; '
        r'categories without a name: Red cell, dust\. Write the names'
    )
    with pytest.raises(ValueError, match=message):
        check(coco(['Red cell', 'white cell', 'platelet', 'dust']))
    with pytest.raises(ValueError, match='without a name: Red cell'):  # within other data sets, and to evaluate
        check(coco(NAMES), val=RepeatDataset(coco(['Red cell', 'white cell', 'platelet']), times=2))


def test_names_in_another_order(coco):
    message = 'in the order platelet, white cell, red cell, and labels follow the file; .* order red cell, white cell'
    with pytest.raises(ValueError, match=message):
        check(coco(NAMES[::-1]))


def test_images_that_are_missing_or_broken(coco, tmp_path):
    dataset = coco(NAMES)
    (tmp_path / 'a.jpg').write_bytes((tmp_path / 'a.jpg').read_bytes()[:400])
    with pytest.raises(ValueError, match=r'1 images .* cannot be used. The first: .*a\.jpg.*Repair them'):
        check(dataset)
    dataset.pipeline.transforms.append(LoadImageFromFile(bad_images='skip'))
    check(dataset)  # training leaves it out
    with pytest.raises(ValueError, match='evaluation never skips images'):
        check(dataset, dataset)
    (tmp_path / 'a.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 1 images .* not there, for example .*a\.jpg'):
        check(dataset)


def test_categories_that_are_left_out(coco, caplog):
    check(coco([*NAMES, 'dust']))
    assert 'categories that are not trained: dust' in caplog.text


def test_lvis_labels_pass_the_order_check(coco, caplog):
    """LVIS uses all categories in the order of the file, and mmdet spells one of them differently."""
    dataset = coco(['red cell', 'white cell', 'platelett'])
    dataset.cat_ids = [1, 2, 3]
    check(dataset)
    assert "spells 1 class names differently: 'platelett' for 'platelet'" in caplog.text


def test_a_head_of_another_size(coco):
    message = r'model\.head has num_classes=80, .* 3 class names \(red cell, .*Set model\.head\.num_classes=3'
    with pytest.raises(ValueError, match=message):
        check(coco(NAMES), num_classes=80)


@pytest.fixture
def masks(tmp_path):
    """Make a data set of masks, each given by its values."""
    BaseSegDataset = pytest.importorskip('mmseg.datasets').BaseSegDataset

    def make(*values, **settings):
        for k, mask in enumerate(values):
            Image.new('RGB', (4, 4)).save(tmp_path / f'{k}.jpg')
            if mask is not None:
                Image.fromarray(np.resize(np.array(mask), (4, 4)).astype(settings.get('dtype', np.uint8))).save(
                    tmp_path / f'{k}.png'
                )
        settings.pop('dtype', None)
        settings = dict(metainfo=dict(classes=NAMES), **settings)
        return BaseSegDataset(data_root=str(tmp_path), data_prefix=dict(img_path='', seg_map_path=''), **settings)

    return make


def test_masks_of_the_classes(masks):
    check(masks([0, 1, 2, 255]))
    check(masks([0, 1, 2, 11], ignore_index=11))
    check(masks([0, 1, 2, 3, 255], reduce_zero_label=True))


@pytest.mark.parametrize(
    'values, settings, message',
    [
        ([0, 3, 7], {}, r'1.png has the values 3, 7, but num_classes is 3: expected values are 0 to 2, or 255 for'),
        (
            [0, 256, 65535],
            dict(dtype=np.uint16, reduce_zero_label=True),
            'values 256, 65535, .* bytes: expected 0 to 255',
        ),
        ([0, 65535], dict(dtype=np.uint16, ignore_index=65535), 'value 65535 are ignored .* from 3 to 255'),
        ([0, 4], dict(reduce_zero_label=True), r'has the values 4, .*after reduce_zero_label'),
        ([0, 255], dict(ignore_index=11), r'has the values 255, .* or 11 for pixels without a label'),
        ([0, 1], dict(ignore_index=2), r'value 2 are ignored .* values 0 to 2 are its classes, .* from 3 to 255'),
    ],
)
def test_values_beyond_the_classes(masks, values, settings, message):
    with pytest.raises(ValueError, match=message):
        check(masks([0, 1, 2], values, **settings))


def test_a_mask_in_colour_and_a_missing_one(masks, tmp_path):
    dataset = masks([0, 1], None)
    with pytest.raises(FileNotFoundError, match=r"no mask at '.*1.png' .*'.*1.jpg'.*seg_map_suffix='.png'"):
        check(dataset)
    Image.new('RGB', (4, 4)).save(tmp_path / '1.png')
    with pytest.raises(ValueError, match=r'colour image of shape \(4, 4, 3\).*one channel'):
        check(dataset)
    (tmp_path / '1.png').write_bytes(b'no')
    with pytest.raises(ValueError, match=r'mask .*1\.png cannot be read: it is no image. Repair'):
        check(dataset)


def test_a_mask_with_a_palette(masks, tmp_path):
    dataset = masks([0, 1, 2])
    mask = Image.open(tmp_path / '0.png').convert('P')
    mask.putpalette([200, 30, 30, 30, 200, 30, 30, 30, 200])
    mask.save(tmp_path / '0.png')
    check(dataset)


def test_a_jpeg_file_is_no_mask_whatever_its_name(masks, tmp_path):
    train = masks([0, 1])
    Image.open(tmp_path / '0.png').save(tmp_path / '0.png', 'JPEG')
    with pytest.raises(ValueError, match='0.png is a JPEG file'):
        check(train)


def test_of_many_masks_evenly_spread_ones_are_read(masks, monkeypatch):
    dataset = masks([0], [9], [1], [9], [2])
    monkeypatch.setattr(annotation_hook, 'MAX_MASKS', 3)
    check(dataset)
    monkeypatch.setattr(annotation_hook, 'MAX_MASKS', 5)
    with pytest.raises(ValueError, match='1.png has the values 9'):
        check(dataset)


def test_a_mask_of_another_size_than_its_image(masks, tmp_path):
    dataset = masks([0, 1], [0, 1])
    exif = Image.Exif()
    exif[0x0112] = 6  # turned when it is loaded
    for name, size, saved in (('0', (2, 4), dict(exif=exif)), ('1', (2, 4), {})):
        Image.new('RGB', size).save(tmp_path / f'{name}.jpg', **saved)
    Image.new('L', (4, 2)).save(tmp_path / '0.png')
    with pytest.raises(ValueError, match='1.png has 4 x 4 px, and its image 2 x 4 px'):
        check(dataset)
