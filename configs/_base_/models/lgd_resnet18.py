# LGD as published: ResNet-18 student, CLIP RN50 teacher, ImageNet's names. The student sees ImageNet's image
# statistics (the published code used CLIP's), so that its weights plug into detectors and segmentors unchanged.
_base_ = '../imagenet_statistics.py'

model = dict(
    type='mmlgd.LGD',
    compile='auto',  # on a GPU; it takes a minute at the start
    channels_last=True,
    # Residual blocks start like torchvision's, as in the published students. mmpretrain's default, the identity, learns
    # more slowly at the start.
    backbone=dict(type='mmpretrain.ResNet', depth=18, out_indices=(3,), norm_eval=False, zero_init_residual=False),
    neck=dict(type='mmlgd.ProjectionNeck'),
    teacher=dict(type='mmlgd.OpenCLIPTeacher', model='RN50', pretrained='openai', compile='auto'),
    text=dict(type='mmlgd.TextualSemanticsBank', vocabulary='in1k', templates='openai-imagenet-80'),
    visual_bank=dict(type='mmlgd.VisualSemanticsBank', momentum=0.999),
    loss=dict(type='mmlgd.LGDLoss', student_temperature=0.2, teacher_temperature=0.01, alpha=0.5),
    data_preprocessor=dict(
        type='mmlgd.PretrainDataPreprocessor',
        **_base_.imagenet_statistics,
        to_rgb=True,
        non_blocking=True,
    ),
)
