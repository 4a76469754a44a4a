# Dense LGD without names: a queue of images and a queue of places.
_base_ = '../dense_resnet18-half_images.py'

model = dict(
    loss=dict(
        terms=[
            dict(bank='queue', student_temperature=0.05, teacher_temperature=0.01, self_logit=True),
            dict(
                bank='place_queue',
                on='places',
                weight=2.0,
                student_temperature=0.05,
                teacher_temperature=0.01,
                self_logit=True,
            ),
        ]
    ),
)
