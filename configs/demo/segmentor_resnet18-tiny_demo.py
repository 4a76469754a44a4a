# The demo's segmentor: an FPN head on the quarter-width ResNet-18, a few hundred iterations on the demo world's scenes.
# `tools/demo` runs it twice, from a random backbone (init_cfg=None) and from the distilled student.
_base_ = ['../small/_base_/segmentor.py', '_base_/world.py']

classes = ('background', *_base_.things)
iterations = 250
image_size = 128  # of the scenes: nothing is resized

model = dict(
    backbone=dict(
        base_channels=16,
        stem_channels=16,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/demo/student/epoch_10.pth', prefix='backbone.'),
    ),
    decode_head=dict(
        in_channels=[16, 32, 64, 128],
        num_classes=len(classes),
        # Five pixels of six are ground: at full weight, a short training would learn only the ground.
        # Every pixel has a class; the fork's mmsegmentation fails with both class weights and avg_non_ignore.
        loss_decode=dict(class_weight=[0.2] + [1.0] * (len(classes) - 1), avg_non_ignore=False),
    ),
)

scenes = dict(metainfo=dict(classes=classes), img_suffix='.png')
train_dataloader = dict(
    dataset=dict(**scenes, data_prefix=dict(img_path='scenes/train', seg_map_path='scenes/masks/train'))
)
val_dataloader = dict(
    batch_size=25, dataset=dict(**scenes, data_prefix=dict(img_path='scenes/val', seg_map_path='scenes/masks/val'))
)

optim_wrapper = dict(optimizer=dict(lr=4e-3))
default_hooks = dict(logger=dict(interval=25))
