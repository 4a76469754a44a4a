# Boxes of your own on a CPU; the base of `mmlgd detect` on a machine without a GPU. By hand, for train/, val/ (images) and
# annotations/{train,val}.json in COCO's format:
#   mmlgd train configs/small/detector_boxes.py --student CHECKPOINT|none --cfg-options data_root=/my/data \
#       names=/my/names.txt
_base_ = '_base_/detector.py'

# A None below is filled in from these variables, the class names in `names` and their number.
data_root = 'data/detection'
names = 'names.txt'  # in data_root, or any other path; in the order of the categories

model = dict(bbox_head=dict(num_classes=None))

train_dataloader = dict(
    dataset=dict(ann_file='annotations/train.json', data_prefix=dict(img='train'), metainfo=dict(classes=None))
)
val_evaluator = dict(classwise=True)  # AP of each class, too
val_dataloader = dict(
    dataset=dict(ann_file='annotations/val.json', data_prefix=dict(img='val'), metainfo=dict(classes=None))
)
