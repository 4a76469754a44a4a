# SEED at the published scale, with LGD's teacher, views and schedule: a queue in the place of the visual bank, and no
# class names in the loss. They still serve the zero-shot evaluation.
_base_ = '../lgd/lgd_mobilenetv2_8xb256-coslr-200e_in1k.py'

model = dict(
    visual_bank=dict(_delete_=True, type='mmlgd.QueueBank', size=65536),
    loss=dict(alpha=1.0),
)
