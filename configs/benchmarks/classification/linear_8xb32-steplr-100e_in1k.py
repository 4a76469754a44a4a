_base_ = [
    '_base_/classifier_frozen.py',
    '_base_/imagenet.py',
    '_base_/linear_100e.py',
    '_base_/runtime.py',
]
