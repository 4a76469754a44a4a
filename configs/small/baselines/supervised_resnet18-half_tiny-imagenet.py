# No distillation: the same backbone from a random start on the labels of the same pictures, as mmpretrain's classifier;
# views, schedule and optimizer are those of the others.
_base_ = '../lgd_resnet18-half_tiny-imagenet.py'

from mmlgd.text import load_vocabulary  # noqa: E402

class_names = load_vocabulary(_base_.model.text.vocabulary)

model = dict(
    _delete_=True,
    type='ImageClassifier',
    backbone=_base_.model.backbone,
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=len(class_names),
        in_channels=256,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True),
)
train_dataloader = dict(dataset=dict(with_label=True))
val_evaluator = [dict(type='mmpretrain.Accuracy', topk=(1, 5) if len(class_names) > 5 else (1,))]
test_evaluator = val_evaluator
custom_hooks = []  # those of the base watch a bank and its names
