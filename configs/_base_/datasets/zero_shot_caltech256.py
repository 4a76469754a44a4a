_base_ = 'zero_shot_imagenet.py'

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
