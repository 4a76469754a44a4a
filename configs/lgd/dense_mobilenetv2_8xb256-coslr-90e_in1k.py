_base_ = ['lgd_mobilenetv2_8xb256-coslr-90e_in1k.py', '../_base_/dense_8gpus.py']

model = _base_.dense
