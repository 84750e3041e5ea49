"""The mesh head beside the other heads, with every feature that the documentation's table names."""

import dataclasses

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('detectron2')

from detectron2.data import transforms as T
from detectron2.structures import Boxes, Instances
from small_models import build, labelled_batch, losses_of, tiny_config

from meshpose_plugins.integrations.detectron2 import MeshPoseRCNNWithTTA, resize_meshes
from meshpose_plugins.modeling import ImageMeshes

CASCADE = [
    'MODEL.ROI_HEADS.NAME',
    'MeshPoseCascadeROIHeads',
    'MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG',
    True,
]
MASK = ['MODEL.MASK_ON', True, 'MODEL.ROI_MASK_HEAD.CONV_DIM', 4, 'MODEL.ROI_MASK_HEAD.NUM_CONV', 1]
KEYPOINTS = ['MODEL.KEYPOINT_ON', True, 'MODEL.ROI_KEYPOINT_HEAD.CONV_DIMS', [8]]
EVERYTHING = ['MODEL.ROI_HEADS.SCORE_THRESH_TEST', 0.0]
FEATURES = dict(
    plain=[],
    cascade=CASCADE,
    mask=MASK,
    keypoints=KEYPOINTS,
    all=CASCADE + MASK + KEYPOINTS,
    levels=['MODEL.ROI_MESHPOSE_HEAD.DECODER_ON', False],
    pred_boxes=['MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES', True],
)


@pytest.fixture(scope='module')
def model():
    return build(tiny_config(*EVERYTHING))


@pytest.mark.parametrize('feature', FEATURES)
def test_the_other_heads_are_untouched(feature):
    """With and without the mesh head: the same other losses, boxes, masks and keypoints."""
    cfg = tiny_config(*EVERYTHING, *FEATURES[feature])
    model = build(cfg)
    batch = labelled_batch(cfg)
    results = {}
    for on in (True, False):
        model.roi_heads.meshpose_on = on
        losses = losses_of(model, batch)
        torch.manual_seed(0)
        with torch.no_grad():
            results[on] = losses, model.eval()(batch)[0]['instances']
        model.load_state_dict(build(cfg).state_dict())  # the norms of the backbone have moved
    (with_mesh, found), (without, plain) = results[True], results[False]
    assert set(with_mesh) - set(without) == {
        f'loss_mesh_{name}' for name in model.roi_heads.meshpose_predictor.criterion.losses
    }
    for name in without:
        torch.testing.assert_close(with_mesh[name], without[name], msg=name)
    assert all(value > 0 for name, value in with_mesh.items() if 'mesh' in name)
    assert found.has('pred_mesh') and not plain.has('pred_mesh') and len(found) == len(plain) > 0
    torch.testing.assert_close(found.pred_boxes.tensor, plain.pred_boxes.tensor)
    for field in ('pred_masks', 'pred_keypoints'):
        assert found.has(field) == plain.has(field) == (field[5:-1] in feature or feature == 'all')
        if found.has(field):
            torch.testing.assert_close(found.get(field), plain.get(field))


def test_mixed_precision_trains_and_predicts(model):
    """The autocast of SOLVER.AMP, here on the CPU."""
    batch = labelled_batch(tiny_config())
    with torch.autocast('cpu', torch.bfloat16):
        losses = losses_of(model, batch)
        with torch.no_grad():
            mesh = model.eval()(batch)[0]['instances'].pred_mesh
    assert all(
        torch.isfinite(value) and value.dtype == torch.float32
        for name, value in losses.items()
        if 'mesh' in name
    )
    sum(losses.values()).backward()
    head = model.roi_heads.meshpose_predictor
    assert all(torch.isfinite(parameter.grad).all() for parameter in head.parameters())
    assert mesh.vertices.dtype == torch.float32 and torch.isfinite(mesh.vertices).all()


@pytest.mark.parametrize('kinds', [('nothing', 'nothing'), (None, 'nothing'), (None, None)])
def test_batches_without_labels_are_zeros_that_keep_the_graph(model, kinds):
    model.zero_grad()
    losses = losses_of(model, labelled_batch(tiny_config(), kinds))
    mesh = [value for name, value in losses.items() if 'mesh' in name]
    assert len(mesh) == len(model.roi_heads.meshpose_predictor.criterion.losses)
    assert all(value.item() == 0 and value.requires_grad for value in mesh)
    sum(losses.values()).backward()
    for name, parameter in model.roi_heads.named_parameters():
        if 'meshpose' in name:
            assert parameter.grad is not None and not parameter.grad.any(), name


@pytest.mark.parametrize(
    'kind, zero',
    [('mesh', {'barycentric', 'uv'}), ('points', {'fused', 'regressed', 'vertexpose', 'edge', 'heatmap'})],
)
def test_what_is_not_labelled_costs_nothing(model, kind, zero):
    losses = losses_of(model, labelled_batch(tiny_config(), (kind, kind)))
    mesh = {name[len('loss_mesh_') :]: value.item() for name, value in losses.items() if 'mesh' in name}
    assert {name for name, value in mesh.items() if value == 0} - {'visibility'} == zero


def test_normals_keypoints_and_silhouettes_train_where_they_are_asked_for():
    names = ('NORMAL', 'KEYPOINT', 'SILHOUETTE')
    options = [value for name in names for value in (f'MODEL.ROI_MESHPOSE_HEAD.LOSS_WEIGHTS.{name}', 0.5)]
    cfg = tiny_config(*MASK, *options)
    model = build(cfg)
    batch = labelled_batch(cfg)
    for item in batch:
        labels = item['instances'].gt_mesh
        item['instances'].gt_mesh = dataclasses.replace(
            labels,
            keypoints=torch.full((1, 17, 2), 30.0),
            keypoints_valid=torch.ones(1, 17, dtype=torch.bool),
        )
    losses = losses_of(model, batch)
    for name in names:
        assert torch.isfinite(losses[f'loss_mesh_{name.lower()}']) and losses[f'loss_mesh_{name.lower()}'] > 0
    sum(losses.values()).backward()
    network = model.roi_heads.meshpose_predictor.network
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())
    for item in batch:
        item['instances'].remove('gt_masks')
    model.roi_heads.mask_on = False
    assert losses_of(model, batch)['loss_mesh_silhouette'] == 0


def test_a_single_region_trains(model):
    cfg = tiny_config('MODEL.ROI_MESHPOSE_HEAD.TRAIN_REGIONS_PER_IMAGE', 1)
    one = build(cfg)
    norm = one.roi_heads.meshpose_predictor.network.regression.nets['x'].norm
    before = norm.running_mean.clone()
    losses = losses_of(one, labelled_batch(cfg, ('both', None)))
    sum(losses.values()).backward()
    assert losses['loss_mesh_fused'] > 0 and norm.weight.grad is not None
    assert torch.equal(norm.running_mean, before) and one.roi_heads.meshpose_predictor.network.training


def test_data_without_mesh_labels_are_an_error(model):
    batch = labelled_batch(tiny_config(), ('both',))
    batch[0]['instances'].remove('gt_mesh')
    with pytest.raises(ValueError, match='mapper=MeshPoseDatasetMapper'):
        losses_of(model, batch)


def test_only_people_get_meshes():
    cfg = tiny_config(
        *EVERYTHING, 'MODEL.ROI_HEADS.NUM_CLASSES', 3, 'MODEL.ROI_MESHPOSE_HEAD.PERSON_CLASS', 1
    )
    heads = build(cfg).eval().roi_heads
    features = {f'p{k}': torch.randn(1, 8, 64 >> (k - 2), 64 >> (k - 2)) for k in range(2, 6)}
    found = Instances(
        (256, 256),
        pred_boxes=Boxes(torch.tensor([[10.0, 20, 110, 220]] * 3)),
        scores=torch.ones(3),
        pred_classes=torch.tensor([1, 2, 1]),
    )
    with torch.no_grad():
        heads.forward_with_given_boxes(features, [found])
    people = torch.isfinite(found.pred_mesh.vertices).flatten(1).all(1)
    assert people.tolist() == [True, False, True]
    assert found.pred_mesh.vertices[1].isnan().all() and not found.pred_mesh.visibility[1].any()
    torch.testing.assert_close(found.pred_mesh.vertices[0], found.pred_mesh.vertices[2], atol=1e-3, rtol=1e-3)


def test_people_do_not_influence_each_other(model):
    """All people of two images in one pass, one by one, and in pieces: the same meshes."""
    heads = model.eval().roi_heads
    features = {f'p{k}': torch.randn(2, 8, 32 >> (k - 2), 32 >> (k - 2)) for k in range(2, 6)}
    boxes = torch.tensor([[10.0, 20, 90, 120], [30.0, 5, 70, 60], [0.0, 0, 128, 128]])

    def predict(per_image, pass_size=32):
        found = [
            Instances(
                (128, 128),
                pred_boxes=Boxes(b),
                scores=torch.ones(len(b)),
                pred_classes=torch.zeros(len(b), dtype=torch.int64),
            )
            for b in per_image
        ]
        heads.meshpose_test_regions = pass_size
        with torch.no_grad():
            heads.forward_with_given_boxes(features, found)
        return [instances.pred_mesh for instances in found]

    together = predict([boxes[:2], boxes[2:]])
    in_pieces = predict([boxes[:2], boxes[2:]], pass_size=1)
    alone = predict([boxes[1:2], boxes[:0]])
    assert len(alone[1]) == 0
    for one, other in zip(together, in_pieces):
        torch.testing.assert_close(one.vertices, other.vertices, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(together[0].vertices[1:], alone[0].vertices, atol=1e-3, rtol=1e-4)


def test_meshes_are_resized_with_the_image(model):
    (small,) = labelled_batch(tiny_config(), ('both',))
    large = dict(small, height=small['height'] * 2, width=small['width'] * 3)
    with torch.no_grad():
        plain, resized = (model.eval()([item])[0]['instances'] for item in (small, large))
    torch.testing.assert_close(
        resized.pred_boxes.tensor, plain.pred_boxes.tensor * torch.tensor([3.0, 2, 3, 2])
    )
    torch.testing.assert_close(
        resized.pred_mesh.vertices[..., 0] + 0.5,
        3 * (plain.pred_mesh.vertices[..., 0] + 0.5),
        atol=1e-3,
        rtol=1e-5,
    )
    again = resize_meshes(resized).pred_mesh
    assert again is resized.pred_mesh and again.image_size == (large['height'], large['width'])


def test_tta_averages_meshes_in_the_image(model):
    cfg = tiny_config(*EVERYTHING, 'TEST.AUG.MIN_SIZES', (64, 96), 'TEST.AUG.FLIP', True)
    (item,) = labelled_batch(cfg, ('both',))
    tta = MeshPoseRCNNWithTTA(cfg, model.eval())
    with torch.no_grad():
        (result,) = tta([item])
    found = result['instances']
    assert len(found) > 0 and found.pred_mesh.image_size == (item['height'], item['width'])
    assert torch.isfinite(found.pred_mesh.vertices).all() and model.roi_heads.meshpose_on

    # One mesh, as the four augmented images would show it: the mean is that mesh.
    template = model.roi_heads.meshpose_predictor.template
    true = ImageMeshes(
        torch.randn(1, template.num_vertices, 3) * 9 + 30, torch.rand(1, template.num_vertices), (64, 96)
    )
    augmented, transforms = tta._get_augmented_inputs(item)
    outputs = []
    for image, transform in zip(augmented, transforms):
        mesh = true.resized(image['image'].shape[1:])
        mirrored = any(isinstance(step, T.HFlipTransform) for step in transform.transforms)
        outputs.append(Instances(mesh.image_size, pred_mesh=mesh.mirrored(template) if mirrored else mesh))
    mean = tta._average_meshes(outputs, transforms, (64, 96))
    torch.testing.assert_close(mean.vertices, true.vertices, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(mean.visibility, true.visibility)


def test_tta_of_the_image_itself_is_the_plain_prediction(model):
    cfg = tiny_config(*EVERYTHING, 'TEST.AUG.MIN_SIZES', (64,), 'TEST.AUG.FLIP', False)
    (item,) = labelled_batch(cfg, ('both',))
    with torch.no_grad():
        plain = model.eval()([item])[0]['instances']
        augmented = MeshPoseRCNNWithTTA(cfg, model)([item])[0]['instances']
    torch.testing.assert_close(augmented.pred_boxes.tensor, plain.pred_boxes.tensor, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(augmented.pred_mesh.vertices, plain.pred_mesh.vertices, atol=1e-2, rtol=1e-4)


def test_tta_with_masks_has_both():
    cfg = tiny_config(*EVERYTHING, *MASK, 'TEST.AUG.MIN_SIZES', (64,), 'TEST.AUG.FLIP', True)
    (item,) = labelled_batch(cfg, ('both',))
    with torch.no_grad():
        found = MeshPoseRCNNWithTTA(cfg, build(cfg).eval())([item])[0]['instances']
    assert found.has('pred_mesh') and found.has('pred_masks') and len(found) > 0


def test_checkpoints_of_another_template_are_refused(model):
    state = {name: value.clone() for name, value in model.state_dict().items()}
    state['roi_heads.meshpose_predictor.template_id'][:] = 65
    with pytest.raises(ValueError, match="MODEL.ROI_MESHPOSE_HEAD.TEMPLATE='anny'"):
        model.load_state_dict(state)
