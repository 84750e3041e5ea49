# Synthetic people (tools/make_synthetic.py) at 128x96.
dataset_type = 'MeshPoseDataset'
train_root = 'data/synthetic-train/'
val_root = 'data/synthetic-val/'
input_size = (96, 128)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.1),
    dict(type='RandomFlip', direction='horizontal'),
    # Many photographs are half bodies and portraits.
    dict(type='RandomTruncation', prob=0.12, mode_weights=dict(side=1.0, half_body=2.0, head_shoulders=1.0)),
    # Mild: the people of make_synthetic vary a lot, and one in five is cut off already.
    dict(
        type='RandomBBoxTransform',
        shift_factor=0.05,
        shift_prob=0.5,
        scale_factor=(0.9, 1.15),
        rotate_factor=25,
        rotate_prob=0.15),
    dict(type='TopdownAffine', input_size=input_size),
    # Carries points and meshes to where the transforms above took the image.
    dict(type='MeshPoseTransform'),
    dict(type='PhotometricDistortion'),
    dict(type='PackMeshPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.1),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='MeshPoseTransform'),
    dict(type='PackMeshPoseInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=train_root,
        ann_file='annotations.json',
        mesh_file='meshes.npz',
        data_prefix=dict(img=''),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type=dataset_type,
        data_root=val_root,
        ann_file='annotations.json',
        mesh_file='meshes.npz',
        data_prefix=dict(img=''),
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='MeshPoseMetric')
test_evaluator = val_evaluator
