# Refuse, before the first step, weights or annotations that do not fit.
custom_imports = dict(imports=['mmlgd'], allow_failed_imports=False)

checks = dict(
    pretrained=dict(type='mmlgd.PretrainedCheckHook'),
    annotations=dict(type='mmlgd.AnnotationCheckHook'),
)
