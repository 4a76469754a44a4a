# Your own images: `data_root` has train/CLASS/* and val/CLASS/*. `names` has the class names, one a line, in the (sorted)
# order of the class folders, as model.text.vocabulary in pre-training.
#   --cfg-options data_root=/my/data names=/my/names.txt train_dataloader.dataset.size=224
_base_ = 'imagenet.py'

# A None below or in the model is filled in from these variables, the class names in `names` and their number.
data_root = 'data/images'
names = 'names.txt'  # in data_root, or any other path

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmlgd.Images',
        data_root=None,
        data_prefix='train',
        metainfo=dict(classes=None),  # the run stops if their number differs from the number of class folders
        view='crop-flip',
        size=224,  # as in pre-training
        crop=(0.08, 1.0),
    )
)
# No pipeline: `mmlgd train` and `mmlgd test` bring images to the size of training (256, then the middle 224).
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmlgd.Images',
        data_root=None,
        data_prefix='val',
        metainfo=dict(classes=None),
    )
)
val_evaluator = dict(topk=None)  # top-1, and top-5 if there are more than five classes

test_dataloader = val_dataloader
test_evaluator = val_evaluator
