# Any folder of images, with or without sub-folders; no labels are read. One MoCo-v2 view of each image.
train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    # New processes with new seeds in each epoch, so that a resumed run sees the same views as an unbroken one.
    persistent_workers=False,
    worker_init_fn=dict(type='mmlgd.keep_torch_seeds'),
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    # mmengine's own default makes lists, which mmpretrain's preprocessor takes for views of one image.
    collate_fn=dict(type='mmlgd.default_collate'),
    dataset=dict(
        type='mmlgd.Images',
        data_root='data/images',
        data_prefix='',
        with_label=False,
        # The published view: crop, colour, grey, blur, flip. 'moco-v2-crop' takes a sixth to a third of the CPU time, and
        # model.data_preprocessor.augmentation does the rest for whole batches on the GPU, as in
        # lgd/lgd_resnet18_1xb256-coslr-200e_images_batched.py. For other views, give a pipeline instead of these three.
        view='moco-v2',
        size=224,
        crop=(0.2, 1.0),
        # The log reports each bad image, and another one takes its place; the run stops if more than one in a hundred is
        # bad. bad_images='raise' stops at the first.
        bad_images='skip',
        max_bad_images=0.01,
    ),
)
