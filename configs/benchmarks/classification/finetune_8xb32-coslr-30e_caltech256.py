_base_ = [
    '_base_/classifier.py',
    '_base_/caltech256.py',
    '_base_/finetune_30e.py',
    '_base_/runtime.py',
]

model = dict(head=dict(num_classes=256))
