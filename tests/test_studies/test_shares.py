"""Shares of the labels for configs of all three libraries, with the steps of the whole set."""

import pytest
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS, DefaultScope

from mmlgd.datasets.variables import fill_in
from mmlgd.errors import ConfigError
from mmlgd.studies.shares import read_shares, share_options
from mmlgd.utils.configs import merge_options, read_config
from tests import ROOT

BY_EPOCH = {'train_dataloader.sampler.by_epoch': True}


def config(sampler='DefaultSampler', loop='EpochBasedTrainLoop', **loader):
    sampler = dict(type=sampler, shuffle=True) if isinstance(sampler, str) else sampler
    return Config(dict(train_dataloader=dict(sampler=sampler, **loader), train_cfg=dict(type=loop)))


@pytest.mark.parametrize('fractions', [['0%'], ['101%'], ['10'], ['a%'], ['10%', '10.0%'], []])
def test_what_is_no_share(fractions):
    with pytest.raises(ConfigError, match='--fractions'):
        read_shares(fractions)


def test_all_labels_are_the_config_as_it_is():
    assert share_options(config('RepeatAugSampler'), 100) == {}


@pytest.mark.parametrize('loop, by_epoch', [('EpochBasedTrainLoop', BY_EPOCH), ('IterBasedTrainLoop', {})])
def test_the_sampler_is_replaced(loop, by_epoch):
    cfg = config(loop=loop)
    options = share_options(cfg, 10)
    assert by_epoch.items() <= options.items() and len(options) == 2 + len(by_epoch)
    merge_options(cfg, options)
    sampler = DATA_SAMPLERS.build(cfg.train_dataloader.sampler, default_args=dict(dataset=range(50), seed=1))
    assert len(sampler.chosen) == 5 and len(sampler) == (50 if by_epoch else 5) and sampler.shuffle


def test_a_loop_without_a_type():
    cfg = config()
    for by_epoch in (True, False):
        cfg.train_cfg = dict(by_epoch=by_epoch, max_epochs=1)
        assert ('train_dataloader.sampler.by_epoch' in share_options(cfg, 10)) == by_epoch


@pytest.mark.parametrize(
    'cfg, words',
    [
        (config('RepeatAugSampler'), 'by RepeatAugSampler, of which no share.*to a DefaultSampler or InfiniteSampler'),
        (config(batch_sampler=dict(type='Own')), 'by Own, of which no share'),
        (config(None), 'of which no share'),
        (config(dict(type='DefaultSampler', round_up=False)), 'sets round_up, which LabelSampler.* does not have'),
        (config(loop='OwnLoop'), 'The loop of the config is OwnLoop'),
    ],
    ids=['sampler', 'batches', 'none', 'setting', 'loop'],
)
def test_what_gives_no_share_is_refused_with_a_cure(cfg, words):
    with pytest.raises(ConfigError, match=words):
        share_options(cfg, 10)


def test_a_config_that_has_a_share_already():
    cfg = read_config(ROOT / 'configs/small/detector_bccd.py')
    cfg.label_percent = 10
    fill_in(cfg)
    with pytest.raises(ConfigError, match='trains on 10 per cent of the labels already.*label_percent'):
        share_options(cfg, 100)


@pytest.mark.parametrize(
    'name',
    [
        'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
        'mmseg::fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024.py',
        'mmpretrain::resnet/resnet18_8xb32_in1k.py',
        str(ROOT / 'configs/benchmarks/mmdet/faster-rcnn_mobilenetv2_fpn_1xb8-60e_coco-format.py'),
        str(ROOT / 'configs/small/segmentor_camvid.py'),
    ],
)
def test_stock_configs_of_each_library_make_equally_many_batches(name):
    for library in ('mmdet', 'mmseg'):
        pytest.importorskip(library)
    cfg = read_config(name)
    cfg.names = ['cat', 'dog']
    fill_in(cfg)
    merge_options(cfg, share_options(cfg, 10))
    loader = cfg.train_dataloader

    class Images:
        def __len__(self):
            return 50

        def get_data_info(self, index):
            return dict(width=2, height=1 + index % 3)

    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        sampler = DATA_SAMPLERS.build(loader.sampler, default_args=dict(dataset=Images(), seed=0))
        batches = dict(loader.get('batch_sampler') or dict(type='mmlgd.TorchBatches'))
        if batches['type'] == 'AspectRatioBatchSampler':
            built = DATA_SAMPLERS.build(dict(batches, sampler=sampler, batch_size=4))
            before = DATA_SAMPLERS.build(dict(batches, sampler=DefaultSampler(Images()), batch_size=4))
            found = list(built)
            assert len(built) == len(before) == len(found) == len(list(before)) == 13
            assert {one for batch in found for one in batch} == set(sampler.chosen)
    assert len(sampler.chosen) == 5
    assert len(sampler) == (50 if cfg.train_cfg.get('by_epoch') or 'Epoch' in str(cfg.train_cfg.get('type')) else 5)
