# Street scenes (CamVid, 11 classes, 11 = no label) at 240 x 180 on a CPU:
#   mmlgd train configs/small/segmentor_camvid.py --student CHECKPOINT|none --cfg-options data_root=/my/camvid
_base_ = '_base_/segmentor.py'

data_root = 'data/camvid'
classes = (
    'sky',
    'building',
    'pole',
    'road',
    'pavement',
    'tree',
    'sign',
    'fence',
    'car',
    'pedestrian',
    'bicyclist',
)
void = 11
image_size = (240, 180)

model = dict(data_preprocessor=dict(seg_pad_val=void), decode_head=dict(num_classes=len(classes), ignore_index=void))

streets = dict(metainfo=dict(classes=classes), img_suffix='.jpg', ignore_index=void)
train_dataloader = dict(
    dataset=dict(**streets, data_prefix=dict(img_path='images/train', seg_map_path='annotations/train'))
)
val_dataloader = dict(dataset=dict(**streets, data_prefix=dict(img_path='images/val', seg_map_path='annotations/val')))
val_evaluator = dict(ignore_index=void)
