# Class names alone: no visual bank in the loss.
_base_ = 'two-banks_resnet18-half_tiny-imagenet.py'

model = dict(loss=dict(alpha=0.0))
