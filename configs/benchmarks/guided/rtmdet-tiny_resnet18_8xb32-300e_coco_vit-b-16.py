_base_ = ['../mmdet/rtmdet-tiny_resnet18_8xb32-300e_coco.py', '_base_/guide.py']

model = dict(type='mmlgd.Guided', plain=_base_.model.type, guide=_base_.guide)
default_hooks = _base_.guide_hooks
