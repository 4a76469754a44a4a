_base_ = ['../mmseg/segformer_resnet18_4xb4-160k_ade20k-512x512.py', '_base_/guide.py']

model = dict(type='mmlgd.Guided', plain=_base_.model.type, guide=_base_.guide)
default_hooks = _base_.guide_hooks
