# Regression of the teacher's embedding, without any bank.
_base_ = '../lgd_resnet18-half_tiny-imagenet.py'

model = dict(queue=None, loss=dict(terms=[dict(type='mmlgd.CosineTerm')]))
