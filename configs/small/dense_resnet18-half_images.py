# Dense LGD on a few hundred images of a task of your own, with its own class names: names and a queue, on images and on
# places. The teacher sees each view at twice its size, so that it names 12 x 12 places.
#   mmlgd train configs/small/<this file> --cfg-options data_root=/my/images names=/my/names.txt
_base_ = 'lgd_resnet18-half_images.py'

epochs, batch, size = 40, 16, 192
model = dict(
    teacher=dict(words=dict(places_size=2 * size), looks_share=0.9),
    queue=dict(_delete_=True, type='mmlgd.QueueBank', size=8192),
    place_queue=dict(type='mmlgd.QueueBank', size=8192),
    loss=dict(
        _delete_=True,
        type='mmlgd.DistillationLoss',
        terms=[
            dict(bank='text', weight=0.75, student_temperature=0.05, teacher_temperature=0.04),
            dict(bank='queue', weight=1.0, student_temperature=0.05, teacher_temperature=0.01, self_logit=True),
            dict(bank='text', on='places', weight=1.5, student_temperature=0.05, teacher_temperature=0.04),
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

train_dataloader = dict(batch_size=batch, dataset=dict(size=size))
auto_scale_lr = dict(base_batch_size=batch)
param_scheduler = [
    dict(
        type='OneCycleLR', eta_max=2e-3, total_steps=epochs, by_epoch=True, convert_to_iter_based=True, pct_start=0.15
    ),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
