# An LGD checkpoint on your labelled pictures and any class names; see _base_/folder.py for the environment variables.
_base_ = [
    '../../_base_/models/lgd_resnet18.py',
    '../../_base_/datasets/zero_shot_imagenet.py',
    '../../_base_/default_runtime.py',
]

size = int('{{$MMLGD_SIZE:224}}')
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = size * 8 // 7
test_pipeline[2].crop_size = size

model = dict(text=dict(vocabulary='{{$MMLGD_NAMES:data/pictures/names.txt}}', transfer=True))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmpretrain.CustomDataset',
        data_root='{{$MMLGD_DATA:data/pictures}}',
        data_prefix='val',
        extensions=('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.ppm', '.pgm'),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
