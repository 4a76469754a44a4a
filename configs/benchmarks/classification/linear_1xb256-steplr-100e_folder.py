_base_ = [
    '_base_/classifier_frozen.py',
    '_base_/folder.py',
    '_base_/linear_100e.py',
    '_base_/runtime.py',
]

model = dict(head=dict(num_classes=None))
train_dataloader = dict(batch_size=256)
