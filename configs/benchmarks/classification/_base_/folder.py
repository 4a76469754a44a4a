# Your own pictures: MMLGD_DATA holds train/CLASS/* and val/CLASS/*, MMLGD_NAMES the class names, one a line in the
# (sorted) order of the class folders: the file that was model.text.vocabulary in pre-training. MMLGD_SIZE: pixels.
_base_ = 'imagenet.py'

from os import getenv  # noqa: E402

from mmlgd.text import load_vocabulary  # noqa: E402

data_root = getenv('MMLGD_DATA') or 'data/pictures'
size = int(getenv('MMLGD_SIZE') or '224')
class_names = load_vocabulary(getenv('MMLGD_NAMES') or 'data/pictures/names.txt')

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = size
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = size * 8 // 7  # 256 for 224
test_pipeline[2].crop_size = size

file_endings = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.ppm', '.pgm')
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmpretrain.CustomDataset',
        data_root=data_root,
        data_prefix='train',
        extensions=file_endings,
        metainfo=dict(classes=class_names),  # as many as class folders, or the run stops
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmpretrain.CustomDataset',
        data_root=data_root,
        data_prefix='val',
        extensions=file_endings,
        metainfo=dict(classes=class_names),
        pipeline=test_pipeline,
    )
)
val_evaluator = dict(topk=(1, 5) if len(class_names) > 5 else (1,))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
