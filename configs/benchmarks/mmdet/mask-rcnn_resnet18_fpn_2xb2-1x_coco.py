# As published for the ResNet-18 on COCO: 2 GPUs x 2 images, the stem and the first stage frozen, batch norm with the
# statistics of pre-training. The optimizer comes from schedule_1x.py, with unscaled learning rate.
_base_ = 'mask-rcnn_resnet18_fpn_1x_coco.py'

model = dict(backbone=dict(frozen_stages=1, norm_cfg=dict(type='BN', requires_grad=True), norm_eval=True))
auto_scale_lr = dict(base_batch_size=4)
