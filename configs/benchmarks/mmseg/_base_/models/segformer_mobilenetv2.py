_base_ = 'segformer_resnet18.py'

model = dict(
    backbone=dict(_delete_=True, **_base_.mobilenetv2), decode_head=dict(in_channels=_base_.mobilenetv2_channels)
)
