# What every config shares: registration, hooks, and a schedule counted in iterations.
_base_ = ['mmpose::_base_/default_runtime.py']

# Registers MeshPoseHead, MeshPoseDataset, ... in MMPose's registries.
custom_imports = dict(imports=['meshpose_plugins.integrations.mmpose'], allow_failed_imports=False)

default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=1000, max_keep_ckpts=2, save_last=True,
                    save_best='mesh/vertex_error_2d', rule='less'),
    # Checkpoints of plain numbers and lists, which torch loads (and resumes) with weights_only=True.
    plain_checkpoint=dict(type='PlainCheckpointHook'),
    # Its enable, show and out_dir are what --show-dir and --show of the tools set.
    visualization=dict(type='PoseVisualizationHook', enable=False))

custom_hooks = [
    # Input, true and predicted mesh side by side, in <work_dir>/<time>/vis_data/vis_image.
    dict(type='MeshPoseVisualizationHook', train_interval=1000),
    # The averaged weights are validated, and are what checkpoint['state_dict'] holds.
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.001, gamma=500, update_buffers=True,
         priority=49),
    dict(type='SyncBuffersHook'),
]

# Resuming goes on at once with freshly shuffled data, it does not replay the data loader.
train_cfg = dict(_delete_=True, type='ResumableIterLoop', max_iters=20000, val_interval=2000)

# A linear warm-up, then half a cosine to the end, wherever train_cfg.max_iters puts it.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0),
    clip_grad=dict(max_norm=10.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=300),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=300, eta_min_ratio=0.01),
]
auto_scale_lr = dict(base_batch_size=64)
randomness = dict(seed=0)

log_processor = dict(by_epoch=False)
