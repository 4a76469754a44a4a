# The list is SimCLR's, converted: tools/dataset_converters/label_subset.py data/imagenet/train --list 10percent.txt \
#   --out data/imagenet/meta/train_10percent.txt
_base_ = [
    '_base_/classifier.py',
    '_base_/imagenet.py',
    '_base_/finetune_20e_few-labels.py',
    '_base_/runtime.py',
]

train_dataloader = dict(dataset=dict(ann_file='meta/train_10percent.txt'))
