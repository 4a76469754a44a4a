# The list is SimCLR's, converted: tools/dataset_converters/label_subset.py data/imagenet/train --list 10percent.txt \
#   --out data/imagenet/meta/train_10percent.txt
_base_ = 'linear_8xb32-steplr-100e_in1k.py'

train_dataloader = dict(dataset=dict(ann_file='meta/train_10percent.txt'))
