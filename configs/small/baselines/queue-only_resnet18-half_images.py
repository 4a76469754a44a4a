# Dense LGD without names: a queue of images and a queue of places.
_base_ = '../dense_resnet18-half_images.py'

model = dict(loss=dict(terms=[term for term in _base_.model.loss.terms if term['bank'] != 'text']))
