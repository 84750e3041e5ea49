# MobileNetV3-Large (MMPose's), three narrow deconvolutions to stride 4.
_base_ = ['./_base_/runtime.py', './_base_/synthetic_256x192.py', './_base_/losses.py']

model = dict(
    type='MeshPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='MobileNetV3', arch='big', out_indices=(14, ),
        conv_cfg=dict(type='Float32DepthwiseConv2d')),  # spares --amp on a CPU a slow kernel
    head=dict(
        type='MeshPoseHead',
        in_channels=160,
        input_size=(192, 256),
        template='anny',
        regression_index=-1,  # the backbone's map as it is
        deconv_out_channels=(192, 160, 128),
        deconv_kernel_sizes=(4, 4, 4),
        vertexpose=dict(type='VertexPoseBranch', gain=10.0),
        regression=dict(
            type='RegressionBranch', reduce_channels=64, pool_size=(4, 3), hidden_channels=96, num_bins=12),
        fusion=dict(type='VisibilityFusion'),
        losses=_base_.losses),
    test_cfg=dict(flip_test=True))
