# Refuse, before the first step, weights or annotations that do not fit.
custom_imports = dict(imports=['mmlgd'], allow_failed_imports=False)

checks = [dict(type='mmlgd.PretrainedCheckHook'), dict(type='mmlgd.AnnotationCheckHook')]
