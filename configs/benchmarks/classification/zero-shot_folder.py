# An LGD checkpoint on your labelled images and any class names: mmlgd test configs/benchmarks/classification/<this
# file> CHECKPOINT --cfg-options data_root=/my/data names=/my/names.txt. `data_root` has val/CLASS/*, `names` the class
# names, one a line: those of the class folders, or others in their sorted order. The student and its image size are the checkpoint's.
_base_ = [
    '../../_base_/models/lgd_resnet18.py',
    '../../_base_/datasets/zero_shot_imagenet.py',
    '../../_base_/default_runtime.py',
]

# A None below is filled in from these variables.
data_root = 'data/images'
names = 'names.txt'  # in data_root, or any other path

model = dict(text=dict(vocabulary=None, transfer=True))  # also for other names than those of training
# No pipeline: `mmlgd test` brings images to the student's size.
val_dataloader = dict(
    dataset=dict(_delete_=True, type='mmlgd.Images', data_root=None, data_prefix='val', metainfo=dict(classes=None))
)
val_evaluator = [  # top-1, and top-5 if there are more than five classes
    dict(type='mmpretrain.Accuracy', topk=None),
    dict(type='mmpretrain.MultiTasksMetric', task_metrics=dict(teacher=[dict(type='mmpretrain.Accuracy', topk=None)])),
    dict(type='mmlgd.DistillationMetric'),
]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
