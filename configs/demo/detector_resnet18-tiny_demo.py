# The demo's detector: ATSS on the quarter-width ResNet-18, a few epochs on the demo world's scenes. `tools/demo` runs
# it twice, from a random backbone (init_cfg=None) and from the distilled student.
_base_ = '../small/_base_/detector.py'

from os import getenv  # noqa: E402

demo_root = getenv('MMLGD_DEMO') or 'work_dirs/demo'  # tools/demo says where
classes = tuple(open(f'{demo_root}/world/names.txt', encoding='utf-8').read().split())
epochs = 8

model = dict(
    backbone=dict(
        base_channels=16,
        stem_channels=16,
        init_cfg=dict(type='Pretrained', checkpoint=f'{demo_root}/student/epoch_10.pth', prefix='backbone.'),
    ),
    neck=dict(in_channels=[16, 32, 64, 128]),
    bbox_head=dict(num_classes=len(classes)),
)

scenes = dict(data_root=f'{demo_root}/world', metainfo=dict(classes=classes))
train_dataloader = dict(dataset=dict(**scenes, ann_file='scenes/train.json', data_prefix=dict(img='scenes/train')))
val_dataloader = dict(
    batch_size=25, dataset=dict(**scenes, ann_file='scenes/val.json', data_prefix=dict(img='scenes/val'))
)
val_evaluator = dict(ann_file=f'{demo_root}/world/scenes/val.json')

param_scheduler = [
    dict(type='OneCycleLR', eta_max=2e-3, total_steps=epochs, by_epoch=True, convert_to_iter_based=True, pct_start=0.2)
]
train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=epochs)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=25), checkpoint=dict(type='CheckpointHook', interval=epochs)
)
