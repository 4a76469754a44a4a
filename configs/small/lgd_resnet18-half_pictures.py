# The same, on a few hundred larger pictures of a task of your own, with its own class names:
#   MMLGD_PICTURES=/my/pictures MMLGD_NAMES=/my/names.txt mmlgd train configs/small/<this file>
_base_ = 'lgd_resnet18-half_tiny-imagenet.py'

from os import getenv  # noqa: E402

epochs, batch = 60, 32
model = dict(
    text=dict(vocabulary=getenv('MMLGD_NAMES') or 'data/names.txt', templates='plain'),
    # Of the runs in docs/results.md.
    teacher=dict(visual_share=0.0),
    queue=None,
    loss=dict(student_temperature=0.1, teacher_temperature=0.04, queue_teacher_temperature=None, alpha=0.5),
)

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(scale=96, crop_ratio_range=(0.1, 1.0))
train_dataloader = dict(
    batch_size=batch,
    dataset=dict(data_root=getenv('MMLGD_PICTURES') or 'data/pictures', data_prefix='', pipeline=train_pipeline),
)
# Nothing to evaluate on: there are no labels.
val_dataloader = val_evaluator = val_cfg = test_dataloader = test_evaluator = test_cfg = None

auto_scale_lr = dict(base_batch_size=batch)
param_scheduler = [
    dict(
        type='OneCycleLR', eta_max=2e-3, total_steps=epochs, by_epoch=True, convert_to_iter_based=True, pct_start=0.15
    ),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
default_hooks = dict(logger=dict(interval=10))
