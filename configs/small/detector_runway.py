# Things on a runway (12 classes, COCO's format, 300 x 300 px) at 192 px on a CPU:
#   mmlgd train configs/small/detector_runway.py --student CHECKPOINT|none --cfg-options data_root=/my/runway
_base_ = '_base_/detector.py'

data_root = 'data/runway'
image_size = 192
iterations = 1200  # five times as many images as BCCD; at 600 a random start still gained
classes = (
    'pliers',
    'wrench',
    'washer',
    'wire',
    'luggage tag',
    'cutter',
    'nail',
    'battery',
    'hammer',
    'soda can',
    'screwdriver',
    'rock',
)

model = dict(bbox_head=dict(num_classes=len(classes)))

things = dict(metainfo=dict(classes=classes))
train_dataloader = dict(
    dataset=dict(**things, ann_file='annotations/instances_train.json', data_prefix=dict(img='train'))
)
val_dataloader = dict(dataset=dict(**things, ann_file='annotations/instances_val.json', data_prefix=dict(img='val')))
