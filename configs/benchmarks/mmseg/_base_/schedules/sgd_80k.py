# The same for 8 images a step, for Cityscapes' large crops.
_base_ = 'sgd_160k.py'

auto_scale_lr = dict(base_batch_size=8)
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=80000, by_epoch=False)]
train_cfg = dict(max_iters=80000, val_interval=8000)
default_hooks = dict(checkpoint=dict(interval=8000))
