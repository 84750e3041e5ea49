# Synthetic people (tools/make_synthetic.py) at 256x192.
dataset_type = 'MeshPoseDataset'
train_root = 'data/synthetic-train/'
val_root = 'data/synthetic-val/'
input_size = (192, 256)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.25),
    dict(type='RandomFlip', direction='horizontal'),
    # Crops that cut the body off, mostly at the bottom.
    dict(type='RandomTruncation', prob=0.15),
    dict(type='RandomBBoxTransform', shift_factor=0.08, shift_prob=0.5, scale_factor=(0.75, 1.3),
         rotate_factor=30, rotate_prob=0.5),
    dict(type='TopdownAffine', input_size=input_size),
    # Carries points and meshes to where the transforms above took the image.
    dict(type='MeshPoseTransform'),
    dict(type='PhotometricDistortion'),
    dict(type='PackMeshPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale', padding=1.25),
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
    batch_size=32,
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
