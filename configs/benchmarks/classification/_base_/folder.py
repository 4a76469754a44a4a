# Your own images: `data_root` has train/CLASS/* and val/CLASS/*, `names` the class names, one a line in the (sorted) order
# of the class folders: the file that was model.text.vocabulary in pre-training.
#   --cfg-options data_root=/my/data names=/my/names.txt train_dataloader.dataset.size=224
_base_ = 'imagenet.py'

# A None below and in the model stands for these, for the class names in `names`, and for how many they are.
data_root = 'data/pictures'
names = 'names.txt'  # in data_root, or anywhere

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmlgd.Pictures',
        data_root=None,
        data_prefix='train',
        metainfo=dict(classes=None),  # as many as class folders, or the run stops
        view='crop-flip',
        size=224,  # as in pre-training
        crop=(0.08, 1.0),
    )
)
# No pipeline: tools/train.py and tools/test.py bring images to the size of training (256, then the middle 224).
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmlgd.Pictures',
        data_root=None,
        data_prefix='val',
        metainfo=dict(classes=None),
    )
)
val_evaluator = dict(topk=None)  # top-1, and top-5 of more than five classes

test_dataloader = val_dataloader
test_evaluator = val_evaluator
