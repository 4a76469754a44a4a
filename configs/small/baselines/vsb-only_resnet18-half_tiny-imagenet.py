# The visual bank alone: class names group pictures (LGKA), and are not in the loss.
_base_ = 'two-banks_resnet18-half_tiny-imagenet.py'

model = dict(loss=dict(alpha=1.0))
