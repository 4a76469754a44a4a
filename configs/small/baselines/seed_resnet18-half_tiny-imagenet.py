# SEED (Fang et al., ICLR 2021): a queue of the teacher's embeddings of the latest pictures, with the self logit, and no
# class names in the loss.
_base_ = 'two-banks_resnet18-half_tiny-imagenet.py'

model = dict(
    visual_bank=dict(_delete_=True, type='mmlgd.QueueBank', size=8192),
    loss=dict(student_temperature=0.05, teacher_temperature=0.01, alpha=1.0),
)
