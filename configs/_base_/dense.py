# Dense LGD: names for every place of an image, and a queue of places, with the temperatures of the terms on images. A
# config with this base takes `dense` as its model. Add dict(type='mmlgd.RegressionTerm', on='places') or
# dict(type='mmlgd.SimilarityTerm') to the list for more. The queue holds the places of 8 steps of one GPU, 1024 each.
# The terms on places have twice the weight of those on images: chosen with ConSE on a few hundred images (configs/small).
dense = dict(
    place_queue=dict(type='mmlgd.QueueBank', size=8192),
    loss=dict(
        _delete_=True,
        type='mmlgd.DistillationLoss',
        terms=[
            dict(bank='visual', weight=0.5, student_temperature=0.2, teacher_temperature=0.01, self_logit=True),
            dict(bank='text', weight=0.5, student_temperature=0.2, teacher_temperature=0.01),
            dict(bank='text', on='places', weight=1.0, student_temperature=0.2, teacher_temperature=0.01, places=1024),
            dict(
                bank='place_queue',
                on='places',
                weight=2.0,
                student_temperature=0.2,
                teacher_temperature=0.01,
                self_logit=True,
                places=1024,
            ),
        ],
    ),
)
