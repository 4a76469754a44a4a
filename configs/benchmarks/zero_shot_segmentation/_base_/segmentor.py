# A student as a segmentor by names: no masks in training, no head. Images come at their own size; the model resizes them.
_base_ = '../../mmseg/_base_/default_runtime.py'

custom_imports = dict(imports=['mmlgd'], allow_failed_imports=False)
default_hooks = dict(visualization=dict(type='mmseg.SegVisualizationHook'))
custom_hooks = [dict(type='mmlgd.VocabularyCheckHook')]

# `mmlgd test CONFIG CHECKPOINT` fills in the checkpoint, and as names the classes of the data set.
model = dict(type='mmlgd.ZeroShotSegmentor', checkpoint=None, names=None, scored='student')

test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmseg.LoadAnnotations'),
            dict(type='mmseg.PackSegInputs'),
        ],
    ),
)
test_evaluator = dict(type='mmseg.IoUMetric', iou_metrics=['mIoU'])
test_cfg = dict()
