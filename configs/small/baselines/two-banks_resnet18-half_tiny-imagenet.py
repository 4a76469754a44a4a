# LGD with the paper's two banks: no queue.
_base_ = '../lgd_resnet18-half_tiny-imagenet.py'

model = dict(queue=None, loss=dict(queue_teacher_temperature=None))
