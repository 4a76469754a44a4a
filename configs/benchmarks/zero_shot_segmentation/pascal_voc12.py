# Pascal VOC 2012, 20 names and the background: mmlgd test configs/benchmarks/zero_shot_segmentation/pascal_voc12.py
# CHECKPOINT. The background is the name `background`; a threshold (model.background=0.3 model.background_label=0) makes
# also those pixels background that have no sure name.
_base_ = '_base_/segmentor.py'

test_dataloader = dict(
    dataset=dict(
        type='mmseg.PascalVOCDataset',
        data_root='data/VOCdevkit/VOC2012',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/Segmentation/val.txt',
    )
)
