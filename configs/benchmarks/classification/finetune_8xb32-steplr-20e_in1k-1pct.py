# The list is SimCLR's, converted: tools/dataset_converters/label_subset.py data/imagenet/train --list 1percent.txt \
#   --out data/imagenet/meta/train_1percent.txt
_base_ = [
    '_base_/classifier.py',
    '_base_/imagenet.py',
    '_base_/finetune_20e_few-labels.py',
    '_base_/runtime.py',
]

train_dataloader = dict(dataset=dict(ann_file='meta/train_1percent.txt'))
optim_wrapper = dict(optimizer=dict(lr=0.02), paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=250)}))
