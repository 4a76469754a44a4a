# SwAV's fine-tuning with few labels (arXiv 2006.09882): SGD, batch 256, no weight decay, 20 epochs, x 0.2 after 12 and
# 16; a head that learns faster than the backbone. Here for 10 % of the labels; the 1 % recipes set their own rates.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0),
    paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=20)}),
)
auto_scale_lr = dict(base_batch_size=256)
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[12, 16], gamma=0.2)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=5)
