# As published: SGD, lr 0.03 per 256 pictures, 5 epochs of linear warm-up, cosine; batch 8 x 256.
_base_ = []  # first, so that mmengine reads this file as a text config in spite of the import

import torch  # noqa: E402

# bf16 autocast where the card has it, float32 elsewhere; `mmlgd train --amp` switches fp16 on for older cards.
precision = dict(type='OptimWrapper')
if torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False):
    precision = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=dict(enabled=False))

optim_wrapper = dict(**precision, optimizer=dict(type='SGD', lr=0.24, momentum=0.9, weight_decay=1e-4, fused=True))
auto_scale_lr = dict(base_batch_size=2048)

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=195, by_epoch=True, begin=5, end=200, convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200, val_interval=10)
