_base_ = [
    '_base_/knn_mobilenetv2.py',
    '_base_/folder.py',
    '_base_/runtime.py',
]

# The memory is the training set, seen as the test set is.
model = dict(
    num_classes=None,
    memory=dict(
        _base_.test_dataloader,
        dataset=dict(_base_.train_dataloader.dataset, pipeline=_base_.test_pipeline),
    ),
)
train_dataloader = None
