# Zero-shot evaluation while training, student beside teacher; row k of the bank is label k.
test_pipeline = [
    dict(type='mmlgd.LoadImageFromFile'),
    dict(type='mmpretrain.ResizeEdge', scale=256, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='mmpretrain.PackInputs'),
]

val_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mmlgd.default_collate'),
    dataset=dict(type='mmpretrain.ImageNet', data_root='data/imagenet', split='val', pipeline=test_pipeline),
)
val_evaluator = [
    dict(type='mmpretrain.Accuracy', topk=(1, 5)),
    dict(
        type='mmpretrain.MultiTasksMetric', task_metrics=dict(teacher=[dict(type='mmpretrain.Accuracy', topk=(1, 5))])
    ),
    dict(type='mmlgd.DistillationMetric'),
]
val_cfg = dict()

test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict()
