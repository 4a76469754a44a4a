# An LGD checkpoint on your labelled images and any class names: tools/test.py configs/benchmarks/classification/<this
# file> CHECKPOINT --cfg-options data_root=/my/data names=/my/names.txt. `data_root` has val/CLASS/*, `names` the class
# names, one a line in the (sorted) order of the class folders. The student and its image size are the checkpoint's.
_base_ = [
    '../../_base_/models/lgd_resnet18.py',
    '../../_base_/datasets/zero_shot_imagenet.py',
    '../../_base_/default_runtime.py',
]

# A None below stands for these.
data_root = 'data/pictures'
names = 'names.txt'  # in data_root, or anywhere

model = dict(text=dict(vocabulary=None, transfer=True))  # whatever names it was trained with
# No pipeline: tools/test.py brings images to the student's size.
val_dataloader = dict(dataset=dict(_delete_=True, type='mmlgd.Pictures', data_root=None, data_prefix='val'))
val_evaluator = [  # top-1, and top-5 of more than five classes
    dict(type='mmpretrain.Accuracy', topk=None),
    dict(type='mmpretrain.MultiTasksMetric', task_metrics=dict(teacher=[dict(type='mmpretrain.Accuracy', topk=None)])),
    dict(type='mmlgd.DistillationMetric'),
]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
