"""Every loss against a plain loop, in float64, to 1e-10."""
import dataclasses
import math

import pytest
import torch

from meshpose_plugins.losses import (BarycentricLoss, EdgeLengthLoss, FaceNormalLoss, JointLoss,
                                     SilhouetteLoss, UVConsistencyLoss, VertexHeatmapLoss, VertexLoss,
                                     VisibilityLoss)

STRIDE, HEIGHT, WIDTH = 4, 8, 6
EDGES = [[0, 1], [1, 2], [2, 5], [4, 3]]
FACES = [[0, 1, 2], [0, 2, 3], [0, 3, 4], [1, 5, 2], [2, 5, 4]]
JOINTS = torch.tensor([[0.5, 0.5, 0, 0, 0, 0], [0, 0, 1.2, -0.2, 0, 0], [0, 0, 0, 0.4, 0.3, 0.3],
                       [0, 0, 0, 0, 0, 1]], dtype=torch.float64)


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


def height_reference(targets, sample):
    """Height of a mesh in heatmap px, at least 2 (the cases' least_height)."""
    valid = targets.vertices_valid[sample].tolist()
    y = [xyz[1] / STRIDE for xyz, counts in zip(targets.vertices[sample].tolist(), valid) if counts]
    return max(max(y) - min(y), 2)


def vertex_reference(predicted, targets, z_weight, in_crop=False, in_heights=False):
    costs = []
    for sample, vertex in targets.vertices_valid.nonzero().tolist():
        truth, have = targets.vertices[sample, vertex].tolist(), predicted[sample, vertex].tolist()
        if in_crop and not (-0.5 <= truth[0] <= 23.5 and -0.5 <= truth[1] <= 31.5):
            continue
        weights = [1, 1, z_weight][:len(have)]
        cost = sum(w * abs(a - b) / STRIDE for w, a, b in zip(weights, have, truth)) / sum(weights)
        costs.append(100 * cost / height_reference(targets, sample) if in_heights else cost)
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


def normal_reference(predicted, targets, z_weight=1.0):
    def cross(xyz, face):
        a, b, c = ([x / STRIDE, y / STRIDE, z_weight * z / STRIDE]
                   for x, y, z in (xyz[vertex].tolist() for vertex in face))
        u, v = ([q - p for p, q in zip(a, end)] for end in (b, c))
        return [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]

    people = []
    for sample in range(len(targets)):
        cost = total = 0.0
        for face in FACES:
            if all(targets.vertices_valid[sample, vertex] for vertex in face):
                true, have = cross(targets.vertices[sample], face), cross(predicted[sample], face)
                size, length = (math.sqrt(sum(value ** 2 for value in n)) for n in (true, have))
                assert length > 0.1 * size, "the softness would count"
                cost += size * (1 - sum(p * q for p, q in zip(true, have)) / (size * length))
                total += size
        if total:
            people.append(cost / total)
    return mean(people)


def joint_reference(predicted, truth, valid, weights=(1, 1, 1, 1), z_weight=1.0, in_crop=False):
    cost = total = 0.0
    for sample, joint in valid.nonzero().tolist():
        want = truth[sample, joint].tolist()
        if in_crop and not (-0.5 <= want[0] <= 23.5 and -0.5 <= want[1] <= 31.5):
            continue
        parts = JOINTS[joint].tolist()
        have = [sum(part * predicted[sample, vertex, axis].item() for vertex, part in enumerate(parts))
                for axis in range(len(want))]
        axes = [1, 1, z_weight][:len(want)]
        error = sum(w * abs(a - b) / STRIDE for w, a, b in zip(axes, have, want)) / sum(axes)
        cost, total = cost + weights[joint] * error, total + weights[joint]
    return cost / total


def mesh_joint_reference(predicted, targets):
    truth = torch.zeros(len(targets), len(JOINTS), 3, dtype=torch.float64)
    valid = torch.zeros(len(targets), len(JOINTS), dtype=torch.bool)
    for sample in range(len(targets)):
        for joint, parts in enumerate(JOINTS.tolist()):
            valid[sample, joint] = all(
                targets.vertices_valid[sample, vertex] for vertex, part in enumerate(parts) if part)
            for vertex, part in enumerate(parts):
                truth[sample, joint] += part * targets.vertices[sample, vertex]
    return joint_reference(predicted, truth, valid)


def triangle_coverage(triangle, row, column):
    """Area of a pixel inside a triangle, by cutting the triangle with the pixel's four sides."""
    polygon = triangle
    for axis, sign, border in ((0, 1, column - 0.5), (0, -1, column + 0.5), (1, 1, row - 0.5),
                               (1, -1, row + 0.5)):
        kept = []
        for p, q in zip(polygon, polygon[1:] + polygon[:1]):
            inside_p, inside_q = sign * (p[axis] - border) >= 0, sign * (q[axis] - border) >= 0
            if inside_p != inside_q:
                t = (border - p[axis]) / (q[axis] - p[axis])
                cut = [p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])]
                kept.append(cut)
            if inside_q:
                kept.append(q)
        polygon = kept
        if not polygon:
            return 0.0
    return abs(sum(p[0] * q[1] - q[0] * p[1] for p, q in zip(polygon, polygon[1:] + polygon[:1]))) / 2


def coverage_reference(xy, faces, height, width):
    """min(1, sum of the areas of faces that run counter-clockwise, seen with y down) in every pixel."""
    picture = torch.zeros(height, width, dtype=torch.float64)
    for face in faces:
        a, b, c = (xy[vertex].tolist() for vertex in face)
        if (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) < 0:
            for row in range(height):
                for column in range(width):
                    picture[row, column] += triangle_coverage([a, b, c], row, column)
    return picture.clamp(max=1)


def heatmap_mask(mask, row, column):
    """Mean over the 4 x 4 crop px around crop px (4 column, 4 row), those outside the crop left out."""
    total = count = 0.0
    for y in range(4 * row - 2, 4 * row + 3):
        for x in range(4 * column - 2, 4 * column + 3):
            if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]:
                part = (0.5 if abs(y - 4 * row) == 2 else 1) * (0.5 if abs(x - 4 * column) == 2 else 1)
                total, count = total + part * mask[y, x].item(), count + part
    return total / count


def blur_reference(picture, softness):
    if not softness:
        return picture
    radius = math.ceil(3 * softness)
    kernel = {offset: math.exp(-0.5 * (offset / softness) ** 2) for offset in range(-radius, radius + 1)}
    total = sum(kernel.values())
    out = torch.zeros_like(picture)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            for y in range(HEIGHT):
                for x in range(WIDTH):
                    factor = kernel.get(y - row, 0) * kernel.get(x - column, 0) / total ** 2
                    out[row, column] += factor * picture[y, x]
    return out


def silhouette_reference(predicted, targets, softness=1.0):
    people = []
    for sample in targets.person_mask_valid.nonzero().flatten().tolist():
        pixels = [(row, column) for row in range(HEIGHT) for column in range(WIDTH)]
        at_stride = lambda mask: torch.tensor(  # noqa: E731
            [heatmap_mask(mask, *pixel) for pixel in pixels], dtype=torch.float64).reshape(HEIGHT, WIDTH)
        weight = at_stride(1 - targets.ignore_mask[sample])
        silhouette = coverage_reference(predicted[sample, :, :2] / STRIDE, FACES, HEIGHT, WIDTH)
        silhouette = blur_reference(silhouette * weight, softness)
        mask = blur_reference(at_stride(targets.person_mask[sample]) * weight, softness)
        common = sum(min(silhouette[pixel].item(), mask[pixel].item()) for pixel in pixels)
        union = sum(max(silhouette[pixel].item(), mask[pixel].item()) for pixel in pixels)
        people.append(1 - (common + 1e-6) / (union + 1e-6))
    return mean(people)


CASES = {
    "barycentric": (BarycentricLoss(), barycentric_reference),
    "uv": (UVConsistencyLoss(), uv_reference),
    "uv_vertexpose_only": (UVConsistencyLoss(fused_weight=0), lambda o, t: uv_reference(o, t, 0)),
    "visibility": (VisibilityLoss(), visibility_reference),
    "fused": (VertexLoss(z_weight=0.3), lambda o, t: vertex_reference(o.xyz_crop, t, 0.3)),
    "regressed": (VertexLoss(which="regressed"), lambda o, t: vertex_reference(o.xyz_regressed, t, 1.0)),
    "vertexpose": (VertexLoss(which="vertexpose"),
                   lambda o, t: vertex_reference(STRIDE * o.xy_vertexpose, t, None, in_crop=True)),
    "fused_height": (VertexLoss(unit="height", least_height=2),
                     lambda o, t: vertex_reference(o.xyz_crop, t, 1.0, in_heights=True)),
    "vertexpose_height": (
        VertexLoss(which="vertexpose", unit="height", least_height=2),
        lambda o, t: vertex_reference(STRIDE * o.xy_vertexpose, t, None, in_crop=True, in_heights=True)),
    "edges": (EdgeLengthLoss(EDGES), lambda o, t: edge_reference(o.xyz_crop, t)),
    "edges_z": (EdgeLengthLoss(EDGES, which="regressed", z_weight=0.5),
                lambda o, t: edge_reference(o.xyz_regressed, t, 0.5)),
    "heatmap": (VertexHeatmapLoss(), heatmap_reference),
    "normals": (FaceNormalLoss(FACES), lambda o, t: normal_reference(o.xyz_crop, t)),
    "normals_z": (FaceNormalLoss(FACES, which="regressed", z_weight=0.5),
                  lambda o, t: normal_reference(o.xyz_regressed, t, 0.5)),
    "keypoints": (JointLoss("keypoints", JOINTS, weights=[1, 2, 0, 0.5]), lambda o, t: joint_reference(
        o.xyz_crop, t.keypoints, t.keypoints_valid, (1, 2, 0, 0.5))),
    "keypoints_vertexpose": (JointLoss("keypoints", JOINTS, which="vertexpose"), lambda o, t: joint_reference(
        STRIDE * o.xy_vertexpose, t.keypoints, t.keypoints_valid, in_crop=True)),
    "joints": (JointLoss("joints", JOINTS, z_weight=0.5), lambda o, t: joint_reference(
        o.xyz_crop, t.joints, t.joints_valid, z_weight=0.5)),
    "mesh_joints": (JointLoss("mesh", JOINTS, which="regressed"),
                    lambda o, t: mesh_joint_reference(o.xyz_regressed, t)),
    "silhouette": (SilhouetteLoss(FACES), lambda o, t: silhouette_reference(o.xyz_crop, t)),
    "silhouette_sharp": (SilhouetteLoss(FACES, which="regressed", softness=0),
                         lambda o, t: silhouette_reference(o.xyz_regressed, t, 0))}


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
