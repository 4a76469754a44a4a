# Dense LGD without its places: names and a queue, on images alone.
_base_ = '../dense_resnet18-half_images.py'

model = dict(
    place_queue=None,
    loss=dict(
        terms=[
            dict(bank='text', weight=0.75, student_temperature=0.05, teacher_temperature=0.04),
            dict(bank='queue', weight=1.0, student_temperature=0.05, teacher_temperature=0.01, self_logit=True),
        ]
    ),
)
