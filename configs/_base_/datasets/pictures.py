# Any folder of pictures, with or without sub-folders; no labels are read. One MoCo-v2 view of each picture.
data_root = 'data/pictures'
file_endings = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.ppm', '.pgm')

# Crop and colour by torchvision, as in the published code: mmcv 2.1's own hue shift fails with numpy 2.
train_pipeline = [
    dict(type='mmlgd.LoadImageFromFile'),
    dict(type='mmpretrain.NumpyToPIL', to_rgb=True),
    dict(type='mmpretrain.torchvision/RandomResizedCrop', size=224, scale=(0.2, 1.0)),
    dict(
        type='RandomApply',
        prob=0.8,
        transforms=[
            dict(type='mmpretrain.torchvision/ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
        ],
    ),
    dict(type='mmpretrain.torchvision/RandomGrayscale', p=0.2),
    dict(type='mmpretrain.PILToNumpy', to_bgr=True),
    dict(type='mmpretrain.GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf', prob=0.5),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmpretrain.PackInputs'),
]

# Only the crop, a sixth to a third of the CPU time: model.data_preprocessor.augmentation makes the rest of the view, for
# whole batches. lgd/lgd_resnet18_1xb256-coslr-200e_pictures_batched.py has the two lines that switch a config.
batched_pipeline = [
    dict(type='mmlgd.LoadImageFromFile'),
    dict(type='mmlgd.RandomResizedCrop', scale=224, crop_ratio_range=(0.2, 1.0)),
    dict(type='mmpretrain.PackInputs'),
]

train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    # New processes, with new seeds, in each epoch: a resumed run then sees what an unbroken one sees.
    persistent_workers=False,
    worker_init_fn=dict(type='mmlgd.keep_torch_seeds'),
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    # mmengine's own default makes lists, which mmpretrain's preprocessor takes for views of one picture.
    collate_fn=dict(type='mmlgd.default_collate'),
    dataset=dict(
        type='mmlgd.Pictures',
        data_root=data_root,
        data_prefix='',
        with_label=False,
        extensions=file_endings,
        # Of a bad picture the log has path and reason, and another one takes its place; up to one in a hundred.
        # bad_pictures='raise' stops at the first.
        bad_pictures='skip',
        max_bad_pictures=0.01,
        pipeline=train_pipeline,
    ),
)
