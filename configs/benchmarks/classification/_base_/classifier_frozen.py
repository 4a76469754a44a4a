# All stages frozen, batch-norm statistics included.
_base_ = 'classifier.py'

archs = dict(
    resnet18=dict(model=dict(backbone=dict(frozen_stages=4, norm_eval=True))),
    # MobileNetV2's `frozen_stages` leaves out the statistics of its first norm, which `norm_eval` freezes, and its last
    # convolution, which a learning rate of 0 freezes. It freezes only after DDP has counted the parameters.
    mobilenetv2=dict(
        model=dict(backbone=dict(frozen_stages=7, norm_eval=True)),
        optim_wrapper=dict(paramwise_cfg=dict(custom_keys={'backbone.conv2': dict(lr_mult=0)})),
        find_unused_parameters=True,
    ),
)
