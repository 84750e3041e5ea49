"""Every loss against a plain loop, in float64, to 1e-10."""
import dataclasses
import math

import pytest
import torch

from meshpose_plugins.losses import (BarycentricLoss, EdgeLengthLoss, UVConsistencyLoss, VertexHeatmapLoss,
                                     VertexLoss, VisibilityLoss)

STRIDE, HEIGHT, WIDTH = 4, 8, 6
EDGES = [[0, 1], [1, 2], [2, 5], [4, 3]]


def mean(values):
    assert values, "the random batch has nothing to average"
    return sum(values) / len(values)


def bilinear(heatmap, x, y):
    """Sum over all pixels of the tent function around (x, y)."""
    return sum(heatmap[row, column].item() * max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
               for row in range(HEIGHT) for column in range(WIDTH))


def inside(x, y):
    return 0 <= x <= WIDTH - 1 and 0 <= y <= HEIGHT - 1


def valid_points(targets):
    for sample in range(len(targets)):
        for point in range(targets.point_valid.shape[1]):
            if targets.point_valid[sample, point]:
                x, y = (targets.points_xy[sample, point] / STRIDE).tolist()
                ids = targets.point_vertex_ids[sample, point].tolist()
                yield sample, x, y, ids, targets.point_barycentrics[sample, point].tolist()


def barycentric_reference(output, targets):
    costs = []
    for sample, x, y, ids, weights in valid_points(targets):
        if inside(x, y):
            logits = [bilinear(heatmap, x, y) for heatmap in output.heatmaps[sample]]
            normaliser = math.log(sum(map(math.exp, logits)))
            costs.append(-sum(weight * (logits[vertex] - normaliser) for weight, vertex in zip(weights, ids)))
    return mean(costs)


def uv_reference(output, targets, fused_weight=0.25):
    def term(xy):
        costs = []
        for sample, x, y, ids, weights in valid_points(targets):
            for axis, have in enumerate((x, y)):
                hat = sum(weight * xy[sample, vertex, axis].item() for weight, vertex in zip(weights, ids))
                costs.append(abs(have - hat))
        return mean(costs)

    return term(output.xy_vertexpose) + fused_weight * term(output.xyz_crop / STRIDE)


def label_reference(targets):
    """(sample, vertex) -> True, False, or absent."""
    labels = {}
    for sample in range(len(targets)):
        for vertex in range(targets.vertices_valid.shape[1]):
            x, y, _ = targets.vertices[sample, vertex].tolist()
            if targets.vertices_valid[sample, vertex] and not (-0.5 <= x <= 23.5 and -0.5 <= y <= 31.5):
                labels[sample, vertex] = False
    for sample, _, _, ids, _ in valid_points(targets):
        labels.update({(sample, vertex): True for vertex in ids})
    return labels


def visibility_reference(output, targets):
    images = []
    for sample in range(len(targets)):
        kinds = {True: [], False: []}
        for (image, vertex), label in label_reference(targets).items():
            if image == sample:
                weight = 1 / (1 + math.exp(-output.visibility_logits[image, vertex].item()))
                kinds[label].append(-math.log(weight if label else 1 - weight))
        present = [mean(costs) for costs in kinds.values() if costs]
        if present:
            images.append(mean(present))
    return mean(images)


def vertex_reference(predicted, targets, z_weight, in_crop=False):
    costs = []
    for sample, vertex in targets.vertices_valid.nonzero().tolist():
        truth, have = targets.vertices[sample, vertex].tolist(), predicted[sample, vertex].tolist()
        if in_crop and not (-0.5 <= truth[0] <= 23.5 and -0.5 <= truth[1] <= 31.5):
            continue
        weights = [1, 1, z_weight][:len(have)]
        costs.append(sum(w * abs(a - b) / STRIDE for w, a, b in zip(weights, have, truth)) / sum(weights))
    return mean(costs)


def edge_reference(predicted, targets, z_weight=1.0):
    def length(xyz, edge):
        a, b = (xyz[vertex].tolist() for vertex in edge)
        return math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (z_weight * (a[2] - b[2])) ** 2) / STRIDE

    return mean([abs(length(predicted[sample], edge) - length(targets.vertices[sample], edge))
                 for sample in range(len(targets)) for edge in EDGES
                 if all(targets.vertices_valid[sample, vertex] for vertex in edge)])


def heatmap_reference(output, targets):
    costs = []
    for sample, vertex in targets.vertices_valid.nonzero().tolist():
        x, y = (targets.vertices[sample, vertex, :2] / STRIDE).tolist()
        if inside(x, y):
            logits = 10 * output.heatmaps[sample, vertex]
            costs.append(-bilinear(logits - math.log(logits.exp().sum().item()), x, y))
    return mean(costs)


CASES = {
    "barycentric": (BarycentricLoss(), barycentric_reference),
    "uv": (UVConsistencyLoss(), uv_reference),
    "uv_vertexpose_only": (UVConsistencyLoss(fused_weight=0), lambda o, t: uv_reference(o, t, 0)),
    "visibility": (VisibilityLoss(), visibility_reference),
    "fused": (VertexLoss(z_weight=0.3), lambda o, t: vertex_reference(o.xyz_crop, t, 0.3)),
    "regressed": (VertexLoss(which="regressed"), lambda o, t: vertex_reference(o.xyz_regressed, t, 1.0)),
    "vertexpose": (VertexLoss(which="vertexpose"),
                   lambda o, t: vertex_reference(STRIDE * o.xy_vertexpose, t, None, in_crop=True)),
    "edges": (EdgeLengthLoss(EDGES), lambda o, t: edge_reference(o.xyz_crop, t)),
    "edges_z": (EdgeLengthLoss(EDGES, which="regressed", z_weight=0.5),
                lambda o, t: edge_reference(o.xyz_regressed, t, 0.5)),
    "heatmap": (VertexHeatmapLoss(), heatmap_reference)}


@pytest.mark.parametrize("loss, reference", CASES.values(), ids=CASES)
def test_loss_agrees_with_loop(loss, reference, output, targets):
    expected = reference(output.detach(), targets)
    assert loss.from_output(output, targets).item() == pytest.approx(expected, rel=0, abs=1e-10)


def test_visibility_labels_agree_with_loop(targets):
    positive, negative = targets.visibility_labels()
    labels = label_reference(targets)
    for mask, label in ((positive, True), (negative, False)):
        expected = {key for key in labels if labels[key] is label}
        assert {tuple(pair) for pair in mask.nonzero().tolist()} == expected
    assert positive.any() and negative.any()


def test_heatmap_loss_takes_the_logsumexp_of_the_branch(output, targets):
    logsumexp = (10 * output.heatmaps).flatten(2).logsumexp(-1)
    given = dataclasses.replace(output, heatmap_logsumexp=logsumexp)
    expected = VertexHeatmapLoss().from_output(output, targets)
    torch.testing.assert_close(VertexHeatmapLoss().from_output(given, targets), expected, rtol=0, atol=1e-10)
    wrong = dataclasses.replace(given, heatmap_logsumexp=logsumexp + 1)
    torch.testing.assert_close(VertexHeatmapLoss().from_output(wrong, targets), expected + 1)
    other_gain = VertexHeatmapLoss(gain=3)  # another gain cannot use it
    expected = other_gain.from_output(output, targets)
    torch.testing.assert_close(other_gain.from_output(wrong, targets), expected)
