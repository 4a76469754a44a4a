# Zero-shot accuracy of an LGD checkpoint: tools/test.py takes the student that the checkpoint was trained with.
_base_ = [
    '../../_base_/models/lgd_resnet18.py',
    '../../_base_/datasets/zero_shot_caltech256.py',
    '../../_base_/default_runtime.py',
]

model = dict(text=dict(vocabulary='caltech256', transfer=True))  # whatever names it was trained with
