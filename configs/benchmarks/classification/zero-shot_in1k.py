# Zero-shot accuracy of an LGD checkpoint: `mmlgd test` builds the student from the checkpoint's own config.
_base_ = [
    '../../_base_/models/lgd_resnet18.py',
    '../../_base_/datasets/zero_shot_imagenet.py',
    '../../_base_/default_runtime.py',
]

model = dict(text=dict(vocabulary='in1k', transfer=True))  # also for other names than those of training
