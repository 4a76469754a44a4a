# The demo's student, or its teacher (model.scored), segments the demo world's scenes by names, without a mask in training:
#   mmlgd test configs/demo/names_resnet18-tiny_demo.py work_dirs/demo/student/epoch_10.pth
_base_ = ['../benchmarks/zero_shot_segmentation/_base_/segmentor.py', '_base_/world.py']

classes = ('ground', *_base_.things)

# The scenes have 128 px and show objects as large as in training, where an image has 64.
model = dict(size=128, teacher_options=dict(model='local-dir:work_dirs/demo/teacher'))
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type='mmseg.BaseSegDataset',
        data_root=None,
        metainfo=dict(classes=classes),
        img_suffix='.png',
        data_prefix=dict(img_path='scenes/val', seg_map_path='scenes/masks/val'),
    ),
)
