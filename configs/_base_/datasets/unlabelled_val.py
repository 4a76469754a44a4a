# Evaluation without labels: how far the student agrees with its teacher on images that it is not trained with.
# Beside a pre-training config in `_base_`; the images: val_dataloader.dataset.data_root, any folder.
val_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mmlgd.default_collate'),
    # No pipeline: tools/train.py and tools/test.py bring images to the size of training (256, then the middle 224).
    dataset=dict(type='mmlgd.Pictures', data_root='data/pictures_val', data_prefix='', with_label=False),
)
val_evaluator = [dict(type='mmlgd.DistillationMetric')]
val_cfg = dict()

test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict()
