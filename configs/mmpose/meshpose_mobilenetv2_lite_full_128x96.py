# The light model with the whole training signal: face normals, joints and silhouettes beside the light
# model's losses, occlusion and truncation, VertexPose first.
_base_ = ['./meshpose_mobilenetv2_lite_128x96.py']

model = dict(head=dict(losses=dict(
    normal=dict(type='FaceNormalLoss', loss_weight=0.1),
    # 2-D keypoints of the annotations, and the joints of true meshes in 3-D.
    keypoint=dict(type='JointLoss', target='keypoints', loss_weight=1.0),
    joint=dict(type='JointLoss', target='mesh', loss_weight=1.0),
    silhouette=dict(type='SilhouetteLoss', loss_weight=0.1))))

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.1),
    dict(type='RandomFlip', direction='horizontal'),
    # Crops that cut the body off: at a side, at the hips, or below the shoulders as in selfies.
    dict(
        type='RandomTruncation',
        prob=0.3,
        keep=(0.4, 0.8),
        mode_weights=dict(side=1.0, half_body=1.0, head_shoulders=1.0)),
    dict(
        type='RandomBBoxTransform',
        shift_factor=0.05,
        shift_prob=0.5,
        scale_factor=(0.9, 1.15),
        rotate_factor=25,
        rotate_prob=0.15),
    dict(type='TopdownAffine', input_size=_base_.input_size),
    dict(type='MeshPoseTransform', with_mask=True),
    # Pieces of other crops in front of the person.
    dict(type='RandomOcclusion', prob=0.3),
    dict(type='PhotometricDistortion'),
    dict(type='PackMeshPoseInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# Which losses count, and what is frozen, from which iteration on; and factors of the weights above.
custom_hooks = _base_.custom_hooks + [
    dict(
        type='StagedTraining',
        stages=[
            dict(
                begin=0,
                losses=['barycentric', 'uv', 'vertexpose', 'heatmap'],
                frozen=['head.network.regression']),
            dict(begin=1500),
        ]),
    # A silhouette tells nothing of a mesh that does not lie on the person yet.
    dict(
        type='LossWeightSchedule',
        factors=dict(silhouette=[(1500, 0.0), (4000, 1.0)], normal=[(1500, 0.0), (4000, 1.0)])),
]
# Frozen parts have no gradients: needed in several processes.
find_unused_parameters = True
