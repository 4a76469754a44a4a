# Neck, head and recipe of RTMDet-tiny on the student's outputs at strides 8, 16 and 32.
_base_ = ['mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py', '../_base_/students.py', '../_base_/checks.py']

model = dict(
    # RTMDet's own backbones take BGR images; the student takes RGB, as in pre-training.
    data_preprocessor=dict(**_base_.imagenet_statistics, bgr_to_rgb=True),
    backbone=dict(
        _delete_=True,
        **{**_base_.resnet18, 'out_indices': (1, 2, 3)},
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/lgd_resnet18_8xb256-coslr-90e_in1k_text-coco/epoch_90.pth',
            prefix='backbone.',
        ),
    ),
    # The neck is as wide as its inputs. Mapped to RTMDet-tiny's middle width, it has RTMDet-tiny's 2 M weights for any
    # student; on MobileNetV2's 1280 channels it would have 7.5 M.
    neck=[
        dict(
            type='mmdet.ChannelMapper',
            in_channels=_base_.resnet18_channels[1:],
            out_channels=192,
            kernel_size=1,
            norm_cfg=_base_.model.neck.norm_cfg,
            act_cfg=_base_.model.neck.act_cfg,
        ),
        {**_base_.model.neck, 'in_channels': [192, 192, 192]},
    ],
)
default_hooks = _base_.checks
