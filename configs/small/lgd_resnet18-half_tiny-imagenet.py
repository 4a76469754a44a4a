# Pre-training that a CPU can do in an hour or two: a half-width ResNet-18 at 64 px, the same pip-installable teacher.
#   mmlgd train configs/small/<this file> --cfg-options data_root=/my/tiny-imagenet
# `arch=mobilenetv2` there trains MobileNetV2 instead, at half its width too.
_base_ = '../lgd/lgd_resnet18_1xb256-coslr-100e_tiny-imagenet_conse.py'

arch = 'resnet18'
archs = dict(
    resnet18=dict(model=dict(backbone=dict(**_base_.model.backbone, base_channels=32, stem_channels=32))),
    mobilenetv2=dict(
        model=dict(backbone=dict(type='mmpretrain.MobileNetV2', widen_factor=0.5, out_indices=(7,))),
    ),
)

epochs, batch = 16, 64
model = dict(
    backbone=dict(_delete_=True),  # the one of `arch`
    # The recipe of docs/study.md: a teacher that knows more than names, a queue beside both banks of names, and matching
    # temperatures; over names and prototypes they follow the share of looks, to 0.0126. The paper's recipe is in
    # configs/lgd.
    teacher=dict(
        _delete_=True,
        type='mmlgd.TeacherPair',
        words=dict(**_base_.model.teacher, image_size=(128, 128)),
        looks='logits',
        looks_share=0.9,
    ),
    visual_bank=dict(momentum=0.99),
    queue=dict(type='mmlgd.QueueBank', size=8192),
    loss=dict(
        _delete_=True,
        type='mmlgd.DistillationLoss',
        terms=[
            dict(bank='visual', weight=0.25, student_temperature=0.05, teacher_temperature=0.04, self_logit=True),
            dict(bank='text', weight=0.75, student_temperature=0.05, teacher_temperature=0.04),
            dict(bank='queue', weight=1.0, student_temperature=0.05, teacher_temperature=0.01, self_logit=True),
        ],
    ),
)

train_dataloader = dict(
    batch_size=batch,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(view='crop-flip', size=64, crop=(0.4, 1.0)),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        indices=list(range(0, 5000, 5)),
        pipeline=[
            dict(type='mmlgd.LoadImageFromFile'),
            dict(type='Resize', scale=(64, 64), backend='pillow'),
            dict(type='mmpretrain.PackInputs'),
        ],
    ),
)
test_dataloader = val_dataloader

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.05))
auto_scale_lr = dict(base_batch_size=batch)
param_scheduler = [
    dict(
        type='OneCycleLR', eta_max=2e-3, total_steps=epochs, by_epoch=True, convert_to_iter_based=True, pct_start=0.15
    ),
]
train_cfg = dict(max_epochs=epochs, val_interval=4)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=1, max_keep_ckpts=1))
