_base_ = [
    '_base_/models/fcn_resnet18.py',
    '_base_/datasets/cityscapes.py',
    '_base_/schedules/sgd_80k.py',
    '_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/lgd_resnet18_8xb256-coslr-90e_in1k_text-cityscapes/epoch_90.pth',
            prefix='backbone.',
        )
    ),
    decode_head=dict(num_classes=19),
    auxiliary_head=dict(num_classes=19),
)
