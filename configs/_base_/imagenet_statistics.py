# ImageNet's mean and standard deviation of RGB in 0..255: what every student of ours was trained with, and what it is to
# be shown in a classifier, a detector or a segmentor.
imagenet_statistics = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
