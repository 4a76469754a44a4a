# COCO-Stuff 164k, 171 names: mmlgd test configs/benchmarks/zero_shot_segmentation/coco-stuff164k.py CHECKPOINT
_base_ = '_base_/segmentor.py'

test_dataloader = dict(
    dataset=dict(
        type='mmseg.COCOStuffDataset',
        data_root='data/coco_stuff164k',
        data_prefix=dict(img_path='images/val2017', seg_map_path='annotations/val2017'),
    )
)
