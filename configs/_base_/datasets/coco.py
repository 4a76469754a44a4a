_base_ = 'images.py'

train_dataloader = dict(dataset=dict(data_root='data/coco', data_prefix='train2017'))
