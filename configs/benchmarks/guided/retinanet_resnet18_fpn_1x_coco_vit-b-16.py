_base_ = ['../mmdet/retinanet_resnet18_fpn_1x_coco.py', '_base_/guide.py']

model = dict(type='mmlgd.Guided', plain=_base_.model.type, guide=_base_.guide)
default_hooks = _base_.guide_hooks
