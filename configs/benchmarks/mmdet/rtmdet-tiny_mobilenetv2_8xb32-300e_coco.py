_base_ = 'rtmdet-tiny_resnet18_8xb32-300e_coco.py'

model = dict(
    backbone=dict(
        _delete_=True,
        **{**_base_.mobilenetv2, 'out_indices': (2, 4, 7)},
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/lgd_mobilenetv2_8xb256-coslr-90e_in1k_text-coco/epoch_90.pth',
            prefix='backbone.',
        ),
    ),
    neck=[{**_base_.model.neck[0], 'in_channels': _base_.mobilenetv2_channels[1:]}, _base_.model.neck[1]],
)
