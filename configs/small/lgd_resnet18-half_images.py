# The same, on a few hundred larger images of a task of your own, with its own class names:
#   mmlgd train configs/small/<this file> --cfg-options data_root=/my/images names=/my/names.txt
_base_ = 'lgd_resnet18-half_tiny-imagenet.py'

data_root = 'data/images'
names = 'data/names.txt'
epochs, batch = 60, 32
model = dict(
    text=dict(templates='plain'),
    # As in the runs of docs/results.md.
    teacher=dict(looks_share=0.0),
    queue=None,
    loss=dict(_delete_=True, type='mmlgd.LGDLoss', student_temperature=0.1, teacher_temperature=0.04, alpha=0.5),
)

train_dataloader = dict(batch_size=batch, dataset=dict(data_prefix='', size=96, crop=(0.1, 1.0)))
# No evaluation: there are no labels.
val_dataloader = val_evaluator = val_cfg = test_dataloader = test_evaluator = test_cfg = None

auto_scale_lr = dict(base_batch_size=batch)
param_scheduler = [
    dict(
        type='OneCycleLR', eta_max=2e-3, total_steps=epochs, by_epoch=True, convert_to_iter_based=True, pct_start=0.15
    ),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
default_hooks = dict(logger=dict(interval=10))
