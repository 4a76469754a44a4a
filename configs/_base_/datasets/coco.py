_base_ = 'pictures.py'

train_dataloader = dict(dataset=dict(data_root='data/coco', data_prefix='train2017'))
