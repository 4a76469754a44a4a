# How a start is fine-tuned: AdamW, a linear warm-up, then a cosine. Both scale the rate that a group of parameters has, so the
# backbone may learn more slowly than the head; mmengine's OneCycleLR would give all groups the same rate.
# A None stands for a variable; `mmlgd train` and `mmlgd compare` fill it in (docs/configs.md).
_base_ = '../../benchmarks/_base_/checks.py'

backbone_rate = 1.0  # times the rate of the head; 0.1 keeps more of a start, 0 freezes the backbone, norms included
label_percent = 100.0  # per cent of the training images, the same steps for every share
iterations = 600  # the last one is evaluated and saved; how it was chosen: README.md of this folder

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=None))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=50, end=None),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=None, val_interval=None)
log_processor = dict(by_epoch=False)
default_hooks = dict(
    **_base_.checks,
    logger=dict(type='LoggerHook', interval=10),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=None),
    frozen=dict(type='mmlgd.FrozenBackboneHook'),
)
train_dataloader = dict(batch_size=8, num_workers=0, sampler=dict(type='mmlgd.LabelSampler', percent=None))
