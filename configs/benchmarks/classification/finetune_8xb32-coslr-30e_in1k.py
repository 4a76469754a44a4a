_base_ = [
    '_base_/classifier.py',
    '_base_/imagenet.py',
    '_base_/finetune_30e.py',
    '_base_/runtime.py',
]
