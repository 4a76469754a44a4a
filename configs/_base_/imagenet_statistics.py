# ImageNet's mean and standard deviation of RGB in 0..255. All our students are trained with these statistics, and a
# classifier, detector or segmentor has to use them too.
imagenet_statistics = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
