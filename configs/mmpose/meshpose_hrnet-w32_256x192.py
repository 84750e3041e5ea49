# HRNet-W32 with the published heads: hidden 256, bins 64, regression from the pooled stride-4 map.
_base_ = ['./_base_/runtime.py', './_base_/synthetic_256x192.py', './_base_/losses.py']

model = dict(
    type='MeshPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        type='HRNet',
        in_channels=3,
        extra=dict(
            stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(4, ),
                        num_channels=(64, )),
            stage2=dict(num_modules=1, num_branches=2, block='BASIC', num_blocks=(4, 4),
                        num_channels=(32, 64)),
            stage3=dict(num_modules=4, num_branches=3, block='BASIC', num_blocks=(4, 4, 4),
                        num_channels=(32, 64, 128)),
            stage4=dict(num_modules=3, num_branches=4, block='BASIC', num_blocks=(4, 4, 4, 4),
                        num_channels=(32, 64, 128, 256), multiscale_output=True),
            upsample=dict(mode='bilinear', align_corners=True))),
    # The sum of the four levels, each projected to 256 channels, at stride 4.
    neck=dict(type='FinestLevelFPN', in_channels=[32, 64, 128, 256], out_channels=256, num_convs=0,
              upsample_cfg=dict(mode='bilinear', align_corners=True)),
    head=dict(
        type='MeshPoseHead',
        in_channels=256,
        input_size=(192, 256),
        template='anny',
        feature_index=0,
        deconv_out_channels=None,
        vertexpose=dict(type='VertexPoseBranch', gain=10.0),
        regression=dict(type='RegressionBranch', hidden_channels=256, num_bins=64),
        fusion=dict(type='VisibilityFusion'),
        losses=_base_.losses),
    test_cfg=dict(flip_test=True))
