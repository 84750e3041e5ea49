"""The pictures of what a network sees: parts of triangles, labels in and out of the crop."""
import numpy as np
import pytest

from meshpose_plugins.templates import load_template
from meshpose_plugins.visualization.colors import PART_COLORS
from meshpose_plugins.visualization.labels import (
    OUTSIDE_COLOR,
    CropLabels,
    draw_labels,
    parts_of_triangles,
    stack_rows,
)

TEMPLATE = load_template('anny')
CROP = np.full((128, 96, 3), 100, np.uint8)


def panels_of(labels):
    """The five panels below their titles; the crop is enlarged twice."""
    row = draw_labels(CROP, labels, TEMPLATE)[40:]
    assert row.shape[0] == 256
    return [row[:, k * 195:k * 195 + 192] for k in range(4)] + [row[:, 4 * 195:]]


def test_parts_of_triangles():
    rng = np.random.default_rng(0)
    turned = rng.permuted(TEMPLATE.faces, axis=1)
    np.testing.assert_array_equal(parts_of_triangles(turned, TEMPLATE), TEMPLATE.face_parts)
    assert parts_of_triangles(np.array([[0, 0, 0]]), TEMPLATE).tolist() == [0]


def test_points_have_the_colour_of_their_part():
    faces = np.array([np.flatnonzero(TEMPLATE.face_parts == part)[0] for part in (1, 23)])
    labels = CropLabels(points_xy=np.float32([[20, 30], [70, 100]]), point_vertex_ids=TEMPLATE.faces[faces],
                        point_valid=np.array([True, True]))
    panel = panels_of(labels)[1]
    for (x, y), part in (((20, 30), 1), ((70, 100), 23)):
        np.testing.assert_allclose(panel[2 * y, 2 * x], PART_COLORS[part] * 255, atol=2)
    assert labels.describe(96, 128) == '2 of 2 points'


def test_masks_and_ignored_regions():
    mask, ignored = np.zeros((128, 96)), np.zeros((128, 96))
    mask[:64], ignored[64:] = 1, 1
    panel = panels_of(CropLabels(person_mask=mask, ignore_mask=ignored))[3].astype(int)
    assert panel[40, 100, 1] > panel[40, 100, 0] + 40 and panel[200, 100, 0] > panel[200, 100, 1] + 40


def test_labels_out_of_the_crop_are_drawn_beside_it():
    vertices = np.zeros((TEMPLATE.num_vertices, 3), np.float32)
    vertices[:] = [48, 64, 0]
    vertices[0] = [-20, 64, 0]
    red = np.array(OUTSIDE_COLOR)

    def reds(labels):
        panel = panels_of(labels)[4].astype(int)
        return int((np.abs(panel - red).sum(2) < 150).sum())
    labels = CropLabels(vertices=vertices)
    assert reds(labels) > 0 and 'mesh 100% in crop' in labels.describe(96, 128)
    vertices[0] = [48, 64, 0]
    assert reds(labels) == 0
    valid = np.array([True, False])
    keypoints = CropLabels(keypoints=np.float32([[110, 5], [300, 5]]), keypoints_valid=valid)
    assert reds(keypoints) > 0 and keypoints.describe(96, 128) == '1 keypoints'


def test_the_mesh_panel_tells_hidden_vertices():
    rest = np.asarray(TEMPLATE.vertices)
    vertices = np.float32(np.column_stack([48 + 60 * rest[:, 0], 110 - 60 * rest[:, 2], 60 * rest[:, 1]]))
    seen, hidden = (
        panels_of(CropLabels(vertices=vertices, visibility=np.full(len(rest), value)))[2].astype(int)
        for value in (1.0, 0.0)
    )
    drawn = np.abs(seen - 100).sum(2) > 60
    assert drawn.mean() > 0.05
    assert (seen[drawn, 1] > seen[drawn, 0]).mean() > 0.9
    assert (hidden[drawn, 0] > hidden[drawn, 1]).mean() > 0.9


def test_samples_without_labels_and_wrong_crops():
    assert CropLabels().describe(96, 128) == 'no labels'
    rows = [draw_labels(CROP, CropLabels(), TEMPLATE, 'a'), draw_labels(CROP[:, :64], CropLabels(), TEMPLATE)]
    assert stack_rows(rows).shape == (2 * (rows[0].shape[0] + 6), rows[0].shape[1], 3)
    with pytest.raises(ValueError, match=r'crop must be \(H, W, 3\) uint8'):
        draw_labels(CROP.astype(float), CropLabels(), TEMPLATE)
