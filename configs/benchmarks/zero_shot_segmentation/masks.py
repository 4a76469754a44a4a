# Your own images with index masks, as CamVid: images/val and annotations/val in `data_root`.
#   mmlgd test configs/benchmarks/zero_shot_segmentation/masks.py CHECKPOINT --cfg-options data_root=/my/data \
#       names=/my/names.txt ignore_index=11
_base_ = '_base_/segmentor.py'

# A None below is filled in from these variables.
data_root = 'data/masks'
names = 'names.txt'  # in data_root, or any other path; line k is value k of a mask, 'sky|clouds' has two phrasings
img_suffix = '.jpg'
seg_map_suffix = '.png'
ignore_index = 255  # the value of pixels without a label; if that is 0, keep 255 here and set the next variable
reduce_zero_label = False  # True: 0 is no label, and value 1 is the first name

test_dataloader = dict(
    dataset=dict(
        type='mmseg.BaseSegDataset',
        data_root=None,
        data_prefix=dict(img_path='images/val', seg_map_path='annotations/val'),
        img_suffix=None,
        seg_map_suffix=None,
        metainfo=dict(classes=None),
        reduce_zero_label=None,
        ignore_index=None,
    )
)
test_evaluator = dict(ignore_index=None)
