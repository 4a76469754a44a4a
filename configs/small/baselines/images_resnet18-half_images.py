# Dense LGD without its places: names and a queue, on images alone.
_base_ = '../dense_resnet18-half_images.py'

model = dict(
    place_queue=None,
    loss=dict(terms=[term for term in _base_.model.loss.terms if 'on' not in term]),
)
