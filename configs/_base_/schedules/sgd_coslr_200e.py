# As published: SGD, lr 0.03 per 256 images, 5 epochs of linear warm-up, cosine; batch 8 x 256.
optim_wrapper = dict(
    # bf16 autocast if the GPU has it, else float32; chosen when the run is built and written to its log.
    # `mmlgd train --amp` switches to fp16 on older GPUs.
    type='mmlgd.AutoOptimWrapper',
    optimizer=dict(type='SGD', lr=0.24, momentum=0.9, weight_decay=1e-4, fused=True),
)
auto_scale_lr = dict(base_batch_size=2048)

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=195, by_epoch=True, begin=5, end=200, convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200, val_interval=10)
