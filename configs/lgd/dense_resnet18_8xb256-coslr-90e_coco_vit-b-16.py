# 14 x 14 places of an image, in place of 7 x 7. The other configs take this teacher by an option:
#   --cfg-options model.teacher.model=ViT-B-16
_base_ = 'dense_resnet18_8xb256-coslr-90e_coco.py'

model = dict(teacher=dict(model='ViT-B-16'))
