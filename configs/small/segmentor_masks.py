# Index masks of your own on a CPU; the base of `mmlgd segment` on a machine without a GPU. By hand, for images/{train,val}
# and annotations/{train,val}:
#   mmlgd train configs/small/segmentor_masks.py --student CHECKPOINT|none --cfg-options data_root=/my/data \
#       names=/my/names.txt
_base_ = '_base_/segmentor.py'

# A None below is filled in from these variables, the class names in `names` and their number.
data_root = 'data/masks'
names = 'names.txt'  # in data_root, or any other path; line k is value k of a mask, from 0
img_suffix = '.jpg'
seg_map_suffix = '.png'
ignore_index = 255  # the value of pixels without a label; if that is 0, keep 255 here and set the next variable
reduce_zero_label = False  # True: 0 is no label, and value 1 is the first name

model = dict(data_preprocessor=dict(seg_pad_val=None), decode_head=dict(num_classes=None, ignore_index=None))

masks = dict(
    img_suffix=None, seg_map_suffix=None, metainfo=dict(classes=None), reduce_zero_label=None, ignore_index=None
)
train_dataloader = dict(
    dataset=dict(**masks, data_prefix=dict(img_path='images/train', seg_map_path='annotations/train'))
)
val_dataloader = dict(dataset=dict(**masks, data_prefix=dict(img_path='images/val', seg_map_path='annotations/val')))
val_evaluator = dict(ignore_index=None)
