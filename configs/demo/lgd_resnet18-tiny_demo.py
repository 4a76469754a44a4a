# The offline demo: a quarter-width ResNet-18 learns the rendered world from the tiny open_clip teacher that
# tools/demo trains, without labels, in about two minutes on two CPU cores.
_base_ = [
    '../_base_/models/lgd_resnet18.py',
    '../_base_/dense.py',
    '../_base_/datasets/images.py',
    '../_base_/datasets/zero_shot_imagenet.py',
    '../_base_/schedules/sgd_coslr_200e.py',
    '../_base_/default_runtime.py',
    '_base_/world.py',
]

# A None below stands for these names, and for `data_root` of the world. Without the ground, each place would have to be
# an object.
names = (*_base_.things, 'ground')

# Dense LGD. Temperatures, weights and momentum are those of the other configs.
model = dict(
    compile=False,  # compiling would take as long as the demo
    # Places of 16 pixels, 4 x 4 in an image: with the usual 32, an object would be one place.
    backbone=dict(base_channels=16, stem_channels=16, out_indices=(2, 3)),
    places=dict(stages=[0, 1]),
    teacher=dict(
        _delete_=True, type='mmlgd.OpenCLIPTeacher', model='local-dir:work_dirs/demo/teacher', places_stride=16
    ),
    text=dict(vocabulary=None, templates=['a {}', 'a photo of a {}']),
    place_queue=dict(type='mmlgd.QueueBank', size=1024),  # two steps, which saves time
    loss=_base_.dense.loss,
)

# The images are rendered at 64 px with random size, place and colour; a light crop and a flip are enough.
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    dataset=dict(
        data_root=None,
        data_prefix='objects/train',
        view=None,
        pipeline=[
            dict(type='mmlgd.LoadImageFromFile'),
            dict(type='mmpretrain.RandomResizedCrop', scale=64, crop_ratio_range=(0.7, 1.0)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='mmpretrain.PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=125,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type='mmpretrain.CustomDataset',
        data_root=None,
        data_prefix='objects/val',
        ann_file='objects/val.txt',
        pipeline=[dict(type='mmlgd.LoadImageFromFile'), dict(type='mmpretrain.PackInputs')],
    ),
)
val_evaluator = [
    dict(type='mmpretrain.Accuracy', topk=1),
    dict(
        type='mmpretrain.MultiTasksMetric',
        task_metrics=dict(teacher=[dict(type='mmpretrain.Accuracy', topk=1)]),
    ),
    dict(type='mmlgd.DistillationMetric'),
]
test_dataloader = val_dataloader
test_evaluator = val_evaluator

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(_delete_=True, type='AdamW', lr=3e-3, weight_decay=0.05),
)
auto_scale_lr = dict(base_batch_size=32)
param_scheduler = [
    dict(type='OneCycleLR', eta_max=3e-3, total_steps=10, by_epoch=True, convert_to_iter_based=True, pct_start=0.15),
]
train_cfg = dict(max_epochs=10, val_interval=1)
default_hooks = dict(logger=dict(interval=25), checkpoint=dict(interval=10))
work_dir = 'work_dirs/demo/student'
