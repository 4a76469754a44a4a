"""Where a share of the labels is really another one, the page says which."""

from mmengine.config import Config

from mmlgd.studies.drawn import drawn_otherwise


def config(place, **options):
    images = dict(type='mmpretrain.CustomDataset', data_root=str(place), **options)
    return Config(dict(train_dataloader=dict(dataset=images)))


def test_a_class_that_gives_one_image_gives_more_than_its_share(tmp_path):
    for k in range(40):
        file = tmp_path / f'{k % 10}' / f'{k}.png'
        file.parent.mkdir(exist_ok=True)
        file.touch()
    (told,) = drawn_otherwise(config(tmp_path), [3.0, 25.0, 100.0], 0)
    assert told.startswith('WARNING: 3 % of the labels are here 10 of 40 images, 25 %: each class gives at least one')
    repeated = Config(dict(train_dataloader=dict(dataset=dict(type='RepeatDataset', times=3))))
    repeated.train_dataloader.dataset.dataset = config(tmp_path).train_dataloader.dataset
    assert drawn_otherwise(repeated, [3.0], 0) == [told]
