_base_ = [
    '../_base_/models/lgd_resnet18.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/datasets/zero_shot_caltech256.py',
    '../_base_/schedules/sgd_coslr_90e.py',
    '../_base_/default_runtime.py',
]

model = dict(text=dict(vocabulary='caltech256'))
