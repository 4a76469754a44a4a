# No distillation: mmpretrain's classifier with the same backbone, trained from scratch on the labels of the same images, with
# the same views, schedule and optimizer.
_base_ = '../lgd_resnet18-half_tiny-imagenet.py'

archs = dict(
    resnet18=dict(model=dict(head=dict(in_channels=256))),
    mobilenetv2=dict(model=dict(head=dict(in_channels=1280))),
)
model = dict(
    _delete_=True,
    type='ImageClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=None,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
    data_preprocessor=dict(**_base_.imagenet_statistics, to_rgb=True),
)
train_dataloader = dict(dataset=dict(with_label=True))
val_evaluator = [dict(type='mmpretrain.Accuracy', topk=None)]
test_evaluator = val_evaluator
# Without the hooks that check a bank and its names.
default_hooks = dict(
    _delete_=True,
    **{
        name: _base_.default_hooks[name]
        for name in _base_.default_hooks
        if name not in ('vocabulary', 'finite', 'answers', 'bank_health', 'progress', 'summary')
    },
)
