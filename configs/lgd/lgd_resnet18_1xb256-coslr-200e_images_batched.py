# The same views with less CPU work: the CPU decodes and crops, the GPU does the rest (`pip install "mmlgd[fast]"`). These
# two lines switch any config of this folder.
_base_ = 'lgd_resnet18_1xb256-coslr-200e_images.py'

train_dataloader = dict(dataset=dict(view='moco-v2-crop'))
model = dict(data_preprocessor=dict(augmentation=dict(type='mmlgd.MoCoV2Augmentation')))
