# Class names alone: no visual bank in the loss.
_base_ = '../lgd_resnet18-half_tiny-imagenet.py'

model = dict(queue=None, loss=dict(alpha=0.0))
