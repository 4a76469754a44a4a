# LGD with the paper's two banks: no queue.
_base_ = '../lgd_resnet18-half_tiny-imagenet.py'

model = dict(
    queue=None,
    loss=dict(_delete_=True, type='mmlgd.LGDLoss', student_temperature=0.05, teacher_temperature=0.04, alpha=0.25),
)
