# The light model and the whole training signal on two data sets in one batch, each with the labels that it
# has: DensePose points and masks on some synthetic people, meshes and keypoints on others.
#   python tools/make_synthetic.py data/synthetic-points --count 10000 --seed 11
#   python tools/make_synthetic.py data/synthetic-meshes --count 10000 --seed 12
# For real data change the two data sets, e.g. to DensePose-COCO for the points and to a mesh data set that
# tools/convert_dataset.py has converted; docs/data_sets.md says how. tools/inspect_dataset.py draws them.
_base_ = ['./meshpose_mobilenetv2_lite_full_128x96.py']

train_dataloader = dict(
    # How often each data set is drawn; each batch has this ratio. Without epoch_length the order never ends,
    # as ResumableIterLoop wants it, and a resumed run goes on in it.
    sampler=dict(_delete_=True, type='MixtureSampler', ratio=[1, 1], seed=0),
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(
                type='MeshPoseDataset',
                data_root='data/synthetic-points/',
                ann_file='annotations.json',
                data_prefix=dict(img=''),
                labels=['points', 'masks'],
                drop_unlabelled=True,
                pipeline=_base_.train_pipeline),
            dict(
                type='MeshPoseDataset',
                data_root='data/synthetic-meshes/',
                ann_file='annotations.json',
                mesh_file='meshes.npz',
                data_prefix=dict(img=''),
                labels=['mesh', 'keypoints'],
                drop_unlabelled=True,
                pipeline=_base_.train_pipeline),
        ]))
