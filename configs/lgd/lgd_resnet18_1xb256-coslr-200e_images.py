# Your own images and class names, on one GPU:
#   mmlgd train configs/lgd/lgd_resnet18_1xb256-coslr-200e_images.py --cfg-options \
#       train_dataloader.dataset.data_root=/my/images model.text.vocabulary=/my/names.txt
_base_ = [
    '../_base_/models/lgd_resnet18.py',
    '../_base_/datasets/images.py',
    '../_base_/schedules/sgd_coslr_200e.py',
    '../_base_/default_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=0.03))
auto_scale_lr = dict(base_batch_size=256)
default_hooks = dict(teacher=dict(type='mmlgd.TeacherCheckHook'))  # does it tell your names apart on your images?
