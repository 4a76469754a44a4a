# ADE20K, 150 names: mmlgd test configs/benchmarks/zero_shot_segmentation/ade20k.py CHECKPOINT
_base_ = '_base_/segmentor.py'

test_dataloader = dict(
    dataset=dict(
        type='mmseg.ADE20KDataset',
        data_root='data/ade/ADEChallengeData2016',
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
    )
)
