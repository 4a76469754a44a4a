# For your own images with index masks, a few hundred of them on one GPU. Nothing here needs an edit:
#   mmlgd train configs/benchmarks/mmseg/<this file> --cfg-options data_root=/my/data names=/my/names.txt
# _base_/datasets/masks.py describes the folders.
_base_ = [
    '_base_/models/deeplabv3plus_resnet18.py',
    '_base_/datasets/masks.py',
    '_base_/schedules/sgd_8k.py',
    '_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(size=None, seg_pad_val=None),
    backbone=dict(
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/lgd_resnet18_1xb256-coslr-200e_images/epoch_200.pth',
            prefix='backbone.',
        )
    ),
    decode_head=dict(num_classes=None, ignore_index=None),
    auxiliary_head=dict(num_classes=None, ignore_index=None),
)
