# SEED (Fang et al., ICLR 2021): a queue of the teacher's embeddings of the latest images, with the self logit, and no
# class names in the loss.
_base_ = '../lgd_resnet18-half_tiny-imagenet.py'

model = dict(
    loss=dict(
        terms=[dict(bank='queue', student_temperature=0.05, teacher_temperature=0.01, self_logit=True)],
    ),
)
