_base_ = ['lgd_resnet18_8xb256-coslr-90e_coco.py', '../_base_/dense_8gpus.py']

model = _base_.dense
