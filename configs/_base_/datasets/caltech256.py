# The layout and the split of tools/dataset_converters/split_caltech256.py: 60 training images a class.
_base_ = 'images.py'

train_dataloader = dict(
    dataset=dict(
        data_root='data/caltech256', data_prefix='256_ObjectCategories', ann_file='meta/train.txt', with_label=True
    )
)
