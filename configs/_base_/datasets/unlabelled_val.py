# Evaluation without labels: how far the student agrees with its teacher on pictures that it is not trained with.
# Beside a pre-training config in `_base_`; MMLGD_VAL is any folder of pictures.
_base_ = []  # first, so that mmengine reads this file as a text config in spite of the import

from os import getenv  # noqa: E402

val_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mmlgd.default_collate'),
    dataset=dict(
        type='mmlgd.Pictures',
        data_root=getenv('MMLGD_VAL') or 'data/pictures_val',
        data_prefix='',
        with_label=False,
        extensions=('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.ppm', '.pgm'),
        # No pipeline: mmlgd train and mmlgd test bring images to the size of training (256, then the middle 224).
    ),
)
val_evaluator = [dict(type='mmlgd.DistillationMetric')]
val_cfg = dict()

test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict()
