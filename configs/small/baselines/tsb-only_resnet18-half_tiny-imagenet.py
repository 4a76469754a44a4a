# Only class names: no visual bank in the loss.
_base_ = '../lgd_resnet18-half_tiny-imagenet.py'

model = dict(
    queue=None,
    loss=dict(terms=[dict(bank='text', student_temperature=0.05, teacher_temperature=0.04)]),
)
