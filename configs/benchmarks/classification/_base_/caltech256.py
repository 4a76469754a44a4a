# The layout and the split of tools/dataset_converters/split_caltech256.py: 60 training images a class, the rest for
# evaluation.
_base_ = 'imagenet.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmpretrain.CustomDataset',
        data_root='data/caltech256',
        data_prefix='256_ObjectCategories',
        ann_file='meta/train.txt',
        pipeline=_base_.train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmpretrain.CustomDataset',
        data_root='data/caltech256',
        data_prefix='256_ObjectCategories',
        ann_file='meta/val.txt',
        pipeline=_base_.test_pipeline,
    )
)
test_dataloader = val_dataloader
