# The recipe that won docs/study.md, for a few thousand images of your own; the base of `mmlgd pretrain --recipe small-data`.
# By hand:
#   mmlgd train configs/small/lgd_resnet18_1xb64-onecycle_images.py --cfg-options \
#       train_dataloader.dataset.data_root=/my/images model.text.vocabulary=/my/names.txt
_base_ = '../lgd/lgd_resnet18_1xb256-coslr-200e_images.py'

epochs, batch = 200, 64
model = dict(
    # Names give zero-shot accuracy, the queue gives features (docs/study.md).
    visual_bank=dict(momentum=0.99),
    queue=dict(type='mmlgd.QueueBank', size=8192),
    loss=dict(student_temperature=0.05, teacher_temperature=0.01, queue_teacher_temperature=0.01, alpha=0.25),
)
train_dataloader = dict(
    batch_size=batch,
    dataset=dict(view='crop-flip', crop=(0.4, 1.0)),
)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.05))
auto_scale_lr = dict(base_batch_size=batch)
param_scheduler = [
    dict(
        type='OneCycleLR', eta_max=2e-3, total_steps=epochs, by_epoch=True, convert_to_iter_based=True, pct_start=0.15
    ),
]
train_cfg = dict(max_epochs=epochs)
