# Dense LGD with plain regression of places in place of names and a queue.
_base_ = 'images_resnet18-half_images.py'

model = dict(loss=dict(terms=[*_base_.model.loss.terms, dict(type='mmlgd.RegressionTerm', on='places')]))
