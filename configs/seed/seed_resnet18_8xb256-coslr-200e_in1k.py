# SEED at the published scale, with LGD's teacher, views and schedule: one term over a queue of the latest images, and no
# class names in the loss. They still serve the zero-shot evaluation.
_base_ = '../lgd/lgd_resnet18_8xb256-coslr-200e_in1k.py'

model = dict(
    queue=dict(type='mmlgd.QueueBank', size=65536),
    loss=dict(
        _delete_=True,
        type='mmlgd.DistillationLoss',
        terms=[dict(bank='queue', student_temperature=0.2, teacher_temperature=0.01, self_logit=True)],
    ),
)
