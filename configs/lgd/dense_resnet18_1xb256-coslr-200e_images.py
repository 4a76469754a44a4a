# Your own images and class names, on one GPU:
#   mmlgd train configs/lgd/dense_resnet18_1xb256-coslr-200e_images.py --cfg-options \
#       train_dataloader.dataset.data_root=/my/images model.text.vocabulary=/my/names.txt
_base_ = ['lgd_resnet18_1xb256-coslr-200e_images.py', '../_base_/dense.py']

model = _base_.dense
