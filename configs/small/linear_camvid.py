# How much of a street's classes a linear layer finds in the features of a frozen backbone, all stages together:
#   mmlgd train configs/small/linear_camvid.py --student CHECKPOINT|none --cfg-options data_root=/my/camvid
# Two 1 x 1 convolutions with a norm between them are one linear layer; the norm brings the stages to one scale.
_base_ = 'segmentor_camvid.py'

backbone_rate = 0.0
model = dict(
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_index=[0, 1, 2, 3],
        input_transform='resize_concat',
        num_convs=1,
        kernel_size=1,
        concat_input=False,
        channels=64,
        act_cfg=None,
        norm_cfg=dict(type='BN', requires_grad=True),
        dropout_ratio=0.0,
        num_classes=11,
        ignore_index=11,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    )
)
