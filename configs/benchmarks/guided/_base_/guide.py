# A teacher that stays on while a model is fine-tuned (docs/guided.md). A config takes `guide` into its model, and the hooks.
# Another teacher: --cfg-options model.guide.teacher.model=RN50. Class names are those of the data set.
guide = dict(teacher=dict(type='mmlgd.OpenCLIPTeacher', model='ViT-B-16', pretrained='openai'))
guide_hooks = dict(guide=dict(type='mmlgd.GuideHook'), finite=dict(type='mmlgd.FiniteCheckHook'))
