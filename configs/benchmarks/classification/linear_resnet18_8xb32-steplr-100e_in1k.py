_base_ = [
    '_base_/resnet18_frozen.py',
    '_base_/imagenet.py',
    '_base_/linear_100e.py',
    '_base_/runtime.py',
]
