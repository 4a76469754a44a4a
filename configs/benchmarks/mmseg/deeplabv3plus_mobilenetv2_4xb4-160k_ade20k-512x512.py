_base_ = [
    '_base_/models/deeplabv3plus_mobilenetv2.py',
    '_base_/datasets/ade20k.py',
    '_base_/schedules/sgd_160k.py',
    '_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/lgd_mobilenetv2_8xb256-coslr-90e_in1k_text-ade20k/epoch_90.pth',
            prefix='backbone.',
        )
    ),
)
