_base_ = [
    '_base_/classifier.py',
    '_base_/folder.py',
    '_base_/finetune_30e.py',
    '_base_/runtime.py',
]

model = dict(head=dict(num_classes=None))
train_dataloader = dict(batch_size=256)
