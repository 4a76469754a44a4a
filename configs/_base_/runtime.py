custom_imports = dict(imports=['mmlgd'], allow_failed_imports=False)
default_scope = 'mmpretrain'

default_hooks = dict(
    runtime_info=dict(type='mmlgd.DeferredLossesHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='mmlgd.AtomicCheckpointHook', interval=5, max_keep_ckpts=2),
    sampler_seed=dict(type='mmlgd.EpochSeedHook'),
    visualization=dict(type='mmpretrain.VisualizationHook', enable=False),
    bad_images=dict(type='mmlgd.BadImagesHook'),
)
custom_hooks = []  # for your own hooks: a config that replaces this list removes none of our checks

env_cfg = dict(
    cudnn_benchmark=True, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl')
)
visualizer = dict(type='mmpretrain.UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)
