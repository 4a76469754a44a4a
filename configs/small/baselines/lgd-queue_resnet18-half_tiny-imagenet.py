# Both banks, and SEED's queue as a third: one more part of the loss, with SEED's temperature.
_base_ = '../lgd_resnet18-half_tiny-imagenet.py'

model = dict(
    queue=dict(type='mmlgd.QueueBank', size=8192),
    loss=dict(queue_weight=1.0, queue_teacher_temperature=0.01),
)
