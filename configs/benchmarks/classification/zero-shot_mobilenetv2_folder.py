# An LGD checkpoint on your labelled pictures and any class names; see _base_/folder.py for the environment variables.
_base_ = [
    '../../_base_/models/lgd_mobilenetv2.py',
    '../../_base_/datasets/zero_shot_imagenet.py',
    '../../_base_/default_runtime.py',
]

from os import getenv  # noqa: E402

size = int(getenv('MMLGD_SIZE') or '224')
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = size * 8 // 7
test_pipeline[2].crop_size = size

model = dict(text=dict(vocabulary=getenv('MMLGD_NAMES') or 'data/pictures/names.txt', transfer=True))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmlgd.Pictures',
        data_root=getenv('MMLGD_DATA') or 'data/pictures',
        data_prefix='val',
        extensions=('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.ppm', '.pgm'),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
