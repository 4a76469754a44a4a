# For a few hundred images on one GPU.
_base_ = 'sgd_160k.py'

auto_scale_lr = dict(base_batch_size=8)
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=8000, by_epoch=False)]
train_cfg = dict(max_iters=8000, val_interval=800)
default_hooks = dict(checkpoint=dict(interval=800, max_keep_ckpts=1, save_best='mIoU'), logger=dict(interval=20))
