# The visual part as the paper's figure draws it: K entries, without the self logit.
_base_ = 'two-banks_resnet18-half_tiny-imagenet.py'

model = dict(loss=dict(self_logit=False))
