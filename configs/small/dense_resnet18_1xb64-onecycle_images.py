# The recipe for a few thousand images of your own, with names and a queue for every place of an image too; the base of
# `mmlgd pretrain --dense --recipe small-data`. By hand:
#   mmlgd train configs/small/dense_resnet18_1xb64-onecycle_images.py --cfg-options \
#       train_dataloader.dataset.data_root=/my/images model.text.vocabulary=/my/names.txt
_base_ = 'lgd_resnet18_1xb64-onecycle_images.py'

model = dict(
    place_queue=dict(type='mmlgd.QueueBank', size=8192),
    loss=dict(
        _delete_=True,
        type='mmlgd.DistillationLoss',
        terms=[
            dict(bank='visual', weight=0.25, student_temperature=0.05, teacher_temperature=0.01, self_logit=True),
            dict(bank='text', weight=0.75, student_temperature=0.05, teacher_temperature=0.01),
            dict(bank='queue', weight=1.0, student_temperature=0.05, teacher_temperature=0.01, self_logit=True),
            dict(bank='text', on='places', weight=1.5, student_temperature=0.05, teacher_temperature=0.01),
            dict(
                bank='place_queue',
                on='places',
                weight=2.0,
                student_temperature=0.05,
                teacher_temperature=0.01,
                self_logit=True,
            ),
        ],
    ),
)
