_base_ = 'images.py'

train_dataloader = dict(dataset=dict(data_root='data/imagenet', data_prefix='train'))
