# Evaluation without labels: how far the student agrees with its teacher on images outside the training set. Add this file
# to `_base_` beside a pre-training config, and set val_dataloader.dataset.data_root to any folder of images.
val_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mmlgd.default_collate'),
    # No pipeline: `mmlgd train` and `mmlgd test` bring images to the size of training (256, then the middle 224).
    dataset=dict(type='mmlgd.Images', data_root='data/images_val', data_prefix='', with_label=False),
)
val_evaluator = [dict(type='mmlgd.DistillationMetric')]
val_cfg = dict()

test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict()
