# Runs the published weights; tools/import_published.py makes a checkpoint and a template file of them.
# 'meshpose-published' knows what the channels are. For the 6890-vertex mesh give the template file:
# --cfg-options model.head.template=FILE.npz test_evaluator.template=FILE.npz
_base_ = ['./_base_/runtime.py', './_base_/hrnet-w32_reference.py']

input_size = (288, 384)
template = 'meshpose-published'
# The published enlargement of boxes: 1.25 for the DensePose evaluation, 1.1 in the demo.
padding = 1.25

model = dict(
    head=dict(
        input_size=input_size,
        template=template,
        # Crop px of the first and the last bin: 4 * (3 h / 64 * s - h) and so on, s = 0 and 63 * 96 / 64.
        regression=dict(x_range=(-384, 1317), y_range=(-288, 1413), z_range=(-576, 1125)),
        # What can be trained without knowing the mesh's faces.
        losses=dict(
            fused=dict(type='VertexLoss', which='fused', loss_weight=1.0),
            regressed=dict(type='VertexLoss', which='regressed', loss_weight=1.0),
            vertexpose=dict(type='VertexLoss', which='vertexpose', loss_weight=0.5),
            heatmap=dict(type='VertexHeatmapLoss', loss_weight=0.5))),
    # Left and right partners of the published vertices are unknown.
    test_cfg=dict(flip_test=False))

# For prediction only: its vertices' places on the body, from which ground truth would come, are unknown.
train_cfg = None
optim_wrapper = None
param_scheduler = None
val_cfg = None
custom_hooks = []

val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=padding),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='MeshPoseTransform', template=template),
    dict(type='PackMeshPoseInputs'),
]
test_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='MeshPoseDataset',
        template=template,
        data_root='data/coco/',
        ann_file='annotations/person_keypoints_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=val_pipeline))
test_evaluator = dict(type='MeshPoseMetric', template=template)
