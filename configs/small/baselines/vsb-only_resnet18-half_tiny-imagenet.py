# Only the visual bank: class names group images (LGKA), but are not in the loss.
_base_ = '../lgd_resnet18-half_tiny-imagenet.py'

model = dict(
    queue=None,
    loss=dict(terms=[dict(bank='visual', student_temperature=0.05, teacher_temperature=0.04, self_logit=True)]),
)
