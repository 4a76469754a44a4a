"""What a run is made from has digests: another content makes it another run."""

import os
from pathlib import Path

import pytest
from mmengine.config import Config

from mmlgd.run.digests import digests_of_labels, digests_of_model
from mmlgd.studies.runs import contents
from mmlgd.utils.files import UnreadableError


@pytest.mark.parametrize(
    'dataset, file',
    [
        (dict(data_prefix=dict(seg_map_path='')), os.fsdecode(b'\xff.png')),
        (dict(data_prefix=dict(seg_map_path='masks')), 'masks/a.png'),
        (dict(data_prefix=dict(sub_data_root='VOC2007')), 'VOC2007/Annotations/a.xml'),
        (dict(data_prefix='', ann_file='a.json'), 'a.json'),
        (dict(data_prefix='train'), 'train/cat/a.jpg'),
        (dict(data_prefix=dict(img_path='train')), 'train/cat/a.jpg'),
        (dict(metainfo=dict(classes='names.txt'), ann_file='a.json'), 'names.txt'),
        (dict(classes='names.txt', ann_file='a.json'), 'names.txt'),
        (dict(split='train'), 'train/cat/a.jpg'),
        (dict(data_prefix='', ann_file='', image_class_labels_file='labels.txt'), 'labels.txt'),
        (dict(ann_file='a.json', data_prefix=dict(img='images', seg='panoptic')), 'panoptic/a.png'),
        (dict(data_prefix=dict(seg_map_path='masks'), seg_map_suffix='.npy'), 'masks/a.npy'),
        (dict(data_prefix=dict(img_path='images', depth_map_path='depths')), 'depths/a.png'),
        (dict(type='ImageNet', split='train'), 'meta/train.txt'),
        (dict(type='CUB', split='test'), 'image_class_labels.txt'),
        (dict(type='OxfordIIITPet', split='test'), 'annotations/test.txt'),
        (dict(type='StanfordCars', split='train'), 'devkit/cars_train_annos.mat'),
        (dict(type='mmpretrain.VOC', split='test'), 'ImageSets/Main/test.txt'),
        (dict(type='VOC', split='test'), 'Annotations/a.xml'),
        (dict(type='VOC', split='test', data_prefix=dict(img_path='images', ann_path='told')), 'told/a.xml'),
        (dict(type='Other', split='test'), 'meta/some.txt'),
        (dict(ann_file=Path('a.json'), data_prefix=''), 'a.json'),
    ],
)
def test_other_labels_have_another_digest(tmp_path, dataset, file):
    def told():
        return digests_of_labels(Config(dict(val_dataloader=dict(dataset=dict(dataset, data_root=str(tmp_path))))))

    file = tmp_path / file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('a')
    first = told()
    assert first and told() == first
    if file.parent.name == 'cat':  # a class folder
        file.write_text('b')
        assert told() == first
        (tmp_path / 'train/dog').mkdir()
        file.rename(tmp_path / 'train/dog/a.jpg')
    else:
        file.write_text('b')  # no other size
    assert told().keys() == first.keys() and told() != first


def test_the_file_that_is_evaluated_with_has_a_digest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'val.json').touch()
    (tmp_path / 'out.pkl').touch()  # a run writes it
    metrics = [dict(type='CocoMetric', ann_file='val.json'), dict(type='DumpResults', out_file_path='out.pkl')]
    assert [*digests_of_labels(Config(dict(val_evaluator=metrics)))] == ['val.json']
    assert [*digests_of_labels(Config(dict(val_evaluator=metrics[0])))] == ['val.json']
    inside = dict(type='MultiDatasetsEvaluator', metrics=metrics, dataset_prefixes=['a', 'b'])
    assert [*digests_of_labels(Config(dict(val_evaluator=inside)))] == ['val.json']
    (tmp_path / 'fine').mkdir()
    (tmp_path / 'fine/a.png').write_text('a')
    masks = Config(dict(val_evaluator=dict(type='CityScapesMetric', seg_prefix='fine')))
    first = digests_of_labels(masks)
    (tmp_path / 'fine/a.png').write_text('b')
    assert [*first] == ['fine/*'] and digests_of_labels(masks) != first


def test_a_list_of_a_split_that_is_gone_makes_another_digest(tmp_path):
    """ImageNet then reads the labels from the folders."""
    dataset = dict(type='ImageNet', data_root=str(tmp_path), split='train')
    cfg, file = Config(dict(train_dataloader=dict(dataset=dataset))), tmp_path / 'meta/train.txt'
    file.parent.mkdir()
    file.write_text('a.jpg 0')
    first = digests_of_labels(cfg)
    file.unlink()
    assert digests_of_labels(cfg).keys() == first.keys() and digests_of_labels(cfg) != first


def test_a_root_of_the_config_is_not_put_before_the_paths_of_a_data_set(tmp_path, monkeypatch):
    """Configs of mmdet write their root into each path, and give the data set none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data/a.json').touch()
    loader = dict(dataset=dict(ann_file='data/a.json'))
    assert [*digests_of_labels(Config(dict(data_root='data', train_dataloader=loader)))] == ['data/a.json']


def test_a_file_of_images_has_no_digest(tmp_path):
    """It may be a tar of a terabyte."""
    (tmp_path / 'images.tar').touch()
    place = str(tmp_path / 'images.tar')
    for dataset in (dict(data_root=place), dict(data_root=place, ann_file='', data_prefix=''), dict(data_prefix=place)):
        dataset = dict(dataset, type='mmlgd.ImageShards', with_label=False)
        assert not digests_of_labels(Config(dict(train_dataloader=dict(dataset=dataset))))


def test_only_the_lists_that_a_data_set_reads_have_a_digest(tmp_path):
    """A text about the data is no list, and neither is that of another split."""
    for file in ('README.txt', 'images.txt', 'meta/train.txt', 'meta/val.txt'):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text('a')

    def told(kind, split):
        dataset = dict(type=kind, data_root=str(tmp_path), split=split)
        return digests_of_labels(Config(dict(train_dataloader=dict(dataset=dataset))))

    before = {one: told(*one) for one in (('CUB', 'train'), ('ImageNet', 'train'), ('ImageNet', 'val'))}
    (tmp_path / 'README.txt').write_text('b')
    assert {one: told(*one) for one in before} == before
    (tmp_path / 'meta/val.txt').write_text('b')
    assert [one for one in before if told(*one) != before[one]] == [('ImageNet', 'val')]


def test_both_loaders_may_read_lists_of_one_root(tmp_path):
    (tmp_path / 'meta').mkdir()
    for split in ('train', 'val'):
        (tmp_path / f'meta/{split}.txt').write_text('a')
    sets = {split: dict(type='ImageNet', data_root=str(tmp_path), split=split) for split in ('train', 'val')}
    cfg = Config({f'{split}_dataloader': dict(dataset=one) for split, one in sets.items()})
    before = digests_of_labels(cfg)
    for split in ('train', 'val'):
        (tmp_path / f'meta/{split}.txt').write_text('b')
        now = digests_of_labels(cfg)
        assert [key for key in now if now[key] != before[key]] == [f'{tmp_path}/*.txt ({split})']
        before = now


def test_data_behind_a_url_have_no_digest():
    for dataset in (dict(split='train'), dict(data_prefix='a'), dict(ann_file='b.txt')):
        dataset = dict(dataset, type='ImageNet', data_root='s3://bucket/data')
        assert digests_of_labels(Config(dict(train_dataloader=dict(dataset=dataset)))) == {}


def test_labels_below_home_have_a_digest(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    for file in (tmp_path / 'list.txt', tmp_path / 'images/cat/a.png'):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for dataset, found in ((dict(ann_file='~/list.txt'), 'list.txt'), (dict(data_prefix='~/images'), 'images/*')):
        cfg = Config(dict(train_dataloader=dict(dataset=dict(type='CustomDataset', **dataset))))
        assert [*digests_of_labels(cfg)] == [f'{tmp_path}/{found}']


def test_a_long_text_in_place_of_a_file_of_names_has_no_digest():
    assert digests_of_labels(Config(dict(names='a' * 300, train_dataloader=dict(dataset=dict(type='A'))))) == {}


def test_without_a_place_no_folder_is_searched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a.png').touch()
    nobody = dict(classes='~nobody/names.txt')
    for dataset in (dict(), nobody, dict(data_prefix=dict(seg_map_path='')), dict(data_root='.', with_label=False)):
        assert digests_of_labels(Config(dict(val_dataloader=dict(dataset=dataset)))) == {}


def test_the_files_of_a_model_are_found_in_each_way_to_name_them(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    folder = tmp_path / 'mine [1]'
    folder.mkdir()
    inside = {str(folder / name) for name in ('open_clip_config.json', 'a.bin')}
    single = {str(tmp_path / name) for name in ('a:b.pt', 'names.txt', 'resnet.pth')}
    for file in inside | single:
        Path(file).write_text(file)
    model = dict(
        backbone=dict(type='ResNet', init_cfg=[dict(type='Pretrained', checkpoint=str(tmp_path / 'resnet.pth'))]),
        teachers=(dict(model=f'local-dir:{folder}'), dict(model='RN50', pretrained='openai:~/a:b.pt')),
        text=dict(vocabulary=str(tmp_path / 'names.txt')),
        other=['conse', 'a' * 300, None, 1, 'torchvision://resnet18', '', ':'],
    )
    first = digests_of_model(Config(dict(model=model)))
    assert {*first} == inside | single and len({*first.values()}) == 5
    encoder, store, images = (tmp_path / name for name in ('encoder', 'store', 'coco'))
    read = [encoder / 'modules.json', encoder / '1_Dense/a.bin', store / 'store.json']
    for file in (*read, store / 'a.bin', images / 'a.jpg'):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    teacher = dict(text_encoder=str(encoder), store=str(store), names=str(images))
    assert {*digests_of_model(Config(dict(model=dict(teacher=teacher))))} == {*map(str, read)}
    (tmp_path / 'resnet.pth').write_text('other')
    assert digests_of_model(Config(dict(model=model))) != first
    assert [*digests_of_model(Config(dict(load_from='~/resnet.pth')))] == [str(tmp_path / 'resnet.pth')]


def test_a_loop_of_links_in_the_folder_of_a_model_ends(tmp_path):
    (tmp_path / 'config.json').touch()
    for name in ('a', 'b'):  # two make 2^40 paths
        (tmp_path / name).symlink_to('.')
    assert [*digests_of_model(Config(dict(model=dict(encoder=str(tmp_path)))))] == [str(tmp_path / 'config.json')]


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refused(file):
        raise PermissionError(13, 'Permission denied', str(file))

    monkeypatch.setattr('mmlgd.run.digests.digest_of', refused)
    (tmp_path / 'a.json').touch()
    dataset = dict(ann_file=str(tmp_path / 'a.json'))
    for told in (
        lambda: digests_of_labels(Config(dict(train_dataloader=dict(dataset=dataset)))),
        lambda: digests_of_model(Config(dict(load_from=dataset['ann_file']))),
        lambda: contents(None, dataset['ann_file']),
    ):
        with pytest.raises(UnreadableError, match=r'a\.json cannot be read: Permission denied'):
            told()


@pytest.mark.parametrize('prefix', [['a', 'b'], dict(img_path=['a', 'b']), dict(seg_map_path=['a', 'b']), 3])
def test_a_prefix_that_is_no_text_is_left_to_its_data_set(tmp_path, prefix):
    dataset = dict(data_root=str(tmp_path), data_prefix=prefix)
    assert digests_of_labels(Config(dict(train_dataloader=dict(dataset=dataset)))) == {}


def test_a_root_that_is_no_text_is_left_to_its_data_set():
    dataset = dict(type='mmlgd.ImageShards', data_root=['a.tar', 'b.tar'])
    assert digests_of_labels(Config(dict(train_dataloader=dict(dataset=dataset)))) == {}
