# 12 epochs of 8 x 2 images with AdamW, the published optimizer for detectors on LGD students.
_base_ = 'mmdet::_base_/schedules/schedule_1x.py'

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-4, weight_decay=1e-4),
    # For a random start, consider --cfg-options optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=1.0
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
    clip_grad=dict(max_norm=0.1, norm_type=2),
)
