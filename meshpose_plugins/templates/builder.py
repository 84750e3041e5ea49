"""Build a template from a body model: parts, charts, low-poly mesh, upsampler, regressors, geodesics."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix

from ..bodies import BodyModel
from ..bodies.pose_transfer import MHR_RIG, has_makehuman_rig, rig_of
from .charts import DensePoseCharts
from .decimation import DecimationSettings, SymmetricDecimator
from .farthest_points import sample_farthest_points
from .geodesics import geodesic_distances, surface_graph
from .mesh_topology import face_permutation, topological_mirror
from .parameterization import parameterize_parts
from .projection import TriangleFinder
from .regression import fit_sparse_regressor, nearest_support
from .segmentation import segment_of_joint, segment_surface
from .template import BodySurface, MeshTemplate

#: Joints that the template regresses, by rig: MakeHuman's, that of the SMPL family, MHR's. The root first,
#: then what mesh metrics and losses use.
REGRESSED_JOINTS = (
    (
        'root',
        'upperleg01.L',
        'upperleg01.R',
        'lowerleg01.L',
        'lowerleg01.R',
        'foot.L',
        'foot.R',
        'spine03',
        'spine01',
        'neck01',
        'head',
        'upperarm01.L',
        'upperarm01.R',
        'lowerarm01.L',
        'lowerarm01.R',
        'wrist.L',
        'wrist.R',
    ),
    (
        'pelvis',
        'left_hip',
        'right_hip',
        'spine1',
        'left_knee',
        'right_knee',
        'spine2',
        'left_ankle',
        'right_ankle',
        'spine3',
        'left_foot',
        'right_foot',
        'neck',
        'left_collar',
        'right_collar',
        'head',
        'left_shoulder',
        'right_shoulder',
        'left_elbow',
        'right_elbow',
        'left_wrist',
        'right_wrist',
        'left_hand',
        'right_hand',
    ),
    (
        'root',
        'l_upleg',
        'r_upleg',
        'l_lowleg',
        'r_lowleg',
        'l_foot',
        'r_foot',
        'c_spine1',
        'c_spine3',
        'c_neck',
        'c_head',
        'l_uparm',
        'r_uparm',
        'l_lowarm',
        'r_lowarm',
        'l_wrist',
        'r_wrist',
    ),
)

#: Joints of Human3.6M in the order of the public (17, 6890) regressors.
H36M_JOINTS = tuple(
    f'h36m_{name}'
    for name in (
        'pelvis',
        'right_hip',
        'right_knee',
        'right_ankle',
        'left_hip',
        'left_knee',
        'left_ankle',
        'spine',
        'neck',
        'jaw',
        'head',
        'left_shoulder',
        'left_elbow',
        'left_wrist',
        'right_shoulder',
        'right_elbow',
        'right_wrist',
    )
)

#: Ways to choose the vertices.
METHODS = ('quadric-collapse', 'farthest-points')


@dataclass
class TemplateSettings:
    """How a template is built.

    Attributes:
        method: One of ``METHODS``.
        decimation: Which vertices stay; see :class:`DecimationSettings`.
        num_poses: Posed bodies on which upsampler and regressors are fitted.
        decimation_poses: Posed bodies, beside the rest pose, on which the decimation measures its error.
        upsampler_support: Template vertices that determine a body vertex.
        regressor_support: Template vertices that determine a joint or keypoint.
        ridge: Pull of the upsampler towards rest-pose barycentrics, square metres.
        seed: Seed of the poses and shapes.
    """

    method: str = 'quadric-collapse'
    decimation: DecimationSettings = field(default_factory=DecimationSettings)
    num_poses: int = 400
    decimation_poses: int = 12
    upsampler_support: int = 8
    regressor_support: int = 24
    ridge: float = 1e-6
    seed: int = 0


def chart_surface(body: BodyModel, charts: DensePoseCharts | None = None) -> BodySurface:
    """Lay charts on a body's surface: those given, or, for MakeHuman's rig and MHR's, 24 parts made here.

    Raises:
        ValueError: If the surface is not symmetric, the charts are another body's or there are none, or a
            part is no disk.
    """
    if charts is not None:
        return charts.surface(body.vertices, body.faces)
    if not (has_makehuman_rig(body) or rig_of(body) is MHR_RIG):
        raise ValueError(f"body '{body.name}' needs DensePose charts (--charts)")
    vertices = np.asarray(body.vertices, float)
    symmetry = topological_mirror(vertices, body.faces)
    parts = segment_surface(
        vertices,
        body.faces,
        csr_matrix(body.skin_weights),
        body.joint_names,
        segment_of_joint,
        symmetry,
    )
    uv = parameterize_parts(vertices, body.faces, parts, symmetry, face_permutation(body.faces, symmetry))
    return BodySurface(vertices.astype(np.float32), body.faces, parts, uv.astype(np.float32))


def random_bodies(body: BodyModel, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shape and pose a body at random: vertices (B, N, 3), joints (B, J, 3), keypoints (B, 17, 3), metres."""
    from ..bodies.pose_sampling import sample_pose

    rng = np.random.default_rng(seed)
    shapes = np.stack([body.sample_shape(rng) for _ in range(count)])
    posed = body.pose(shapes, np.stack([sample_pose(body, rng) for _ in range(count)]))
    return posed.vertices, posed.joints, posed.keypoints


def build_template(
    body: BodyModel,
    name: str | None = None,
    settings: TemplateSettings | None = None,
    charts: DensePoseCharts | None = None,
    h36m_regressor: np.ndarray | None = None,
) -> MeshTemplate:
    """Build a template on a body's vertices.

    Args:
        body: The body model; its rest surface is closed, manifold and left-right symmetric in its
            connectivity.
        name: Name of the template, by default the body's.
        settings: See :class:`TemplateSettings`.
        charts: The charts of the body's surface; bodies with MakeHuman's rig or MHR's are charted without.
        h36m_regressor: (17, N) weights of the Human3.6M joints on the body's vertices; they are regressed
            beside the body's own joints then, as ``H36M_JOINTS``.

    Returns:
        The template.

    Raises:
        ValueError: If the surface is not symmetric, its parts are no disks, or charts or regressor belong to
            another body.
    """
    settings = settings or TemplateSettings()
    surface = chart_surface(body, charts)
    vertices, joints, keypoints = random_bodies(body, settings.num_poses, settings.seed)
    joint_names, joints = _regressed_joints(body, vertices, joints, h36m_regressor)
    kept, faces, face_parts = _choose_vertices(surface, vertices, settings)
    index = np.full(len(surface.vertices), -1)
    index[kept] = np.arange(len(kept))

    from_kept = geodesic_distances(surface_graph(surface.vertices.astype(float), surface.faces), kept)
    upsampler_ids, upsampler_weights = fit_upsampler(
        surface, kept, faces, face_parts, vertices, from_kept, settings
    )
    low_poly = vertices[:, kept].astype(float)
    return MeshTemplate(
        name=name or body.name,
        body=body.name,
        vertices=surface.vertices[kept],
        faces=faces,
        face_parts=face_parts,
        source_vertex_ids=kept,
        symmetry=index[surface.symmetry[kept]],
        upsampler_ids=upsampler_ids,
        upsampler_weights=upsampler_weights,
        joint_names=joint_names,
        joint_regressor=fit_point_regressor(low_poly, joints, settings.regressor_support),
        keypoint_names=tuple(body.keypoint_names),
        keypoint_regressor=fit_point_regressor(low_poly, keypoints, settings.regressor_support),
        geodesics=from_kept[:, kept],
        surface=surface,
    )


def _regressed_joints(
    body: BodyModel, vertices: np.ndarray, joints: np.ndarray, h36m_regressor: np.ndarray | None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and positions (B, J, 3) of the joints that the template of a body regresses."""
    names = max(
        (tuple(name for name in names if name in body.joint_names) for names in REGRESSED_JOINTS), key=len
    )
    if len(names) < len(min(REGRESSED_JOINTS, key=len)):
        raise ValueError(f"body '{body.name}' has neither MakeHuman's rig nor that of the SMPL family or MHR")
    chosen = joints[:, [body.joint_names.index(name) for name in names]]
    if h36m_regressor is None:
        return names, chosen
    wanted = (len(H36M_JOINTS), vertices.shape[1])
    if h36m_regressor.shape != wanted or not np.allclose(h36m_regressor.sum(axis=1), 1, atol=1e-2):
        raise ValueError(
            f'the Human3.6M regressor must be {wanted} with rows that sum to 1, got {h36m_regressor.shape}'
        )
    return names + H36M_JOINTS, np.concatenate([chosen, h36m_regressor @ vertices], axis=1)


def _choose_vertices(
    surface: BodySurface, posed: np.ndarray, settings: TemplateSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kept vertex ids (V,), low-poly faces (F, 3) and their parts (F,) by the method asked for."""
    if settings.method == 'quadric-collapse':
        poses = np.concatenate([surface.vertices[None], posed[: settings.decimation_poses]])
        return SymmetricDecimator(
            poses, surface.faces, surface.face_parts, surface.symmetry, settings.decimation
        ).run()
    if settings.method == 'farthest-points':
        return sample_farthest_points(
            surface.vertices.astype(float),
            surface.faces,
            surface.face_parts,
            surface.symmetry,
            settings.decimation.num_vertices,
        )
    raise ValueError(f"method is '{settings.method}': must be one of {', '.join(METHODS)}")


def fit_upsampler(
    surface: BodySurface,
    kept: np.ndarray,
    faces: np.ndarray,
    face_parts: np.ndarray,
    vertices: np.ndarray,
    distances: np.ndarray,
    settings: TemplateSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the sparse upsampler on posed bodies, pulled towards rest-pose barycentrics.

    Args:
        surface: Full-resolution surface.
        kept: (V,) template vertices among its vertices.
        faces, face_parts: The low-poly mesh.
        vertices: (B, N, 3) posed bodies.
        distances: (V, N) geodesic distances.
        settings: See :class:`TemplateSettings`.

    Returns:
        ids (N, K) and weights (N, K).
    """
    corner_ids, barycentrics = rest_barycentrics(surface, kept, faces, face_parts)
    support = nearest_support(distances.T, corner_ids, settings.upsampler_support)
    prior = np.zeros(support.shape)
    for column in range(3):
        prior[support == corner_ids[:, column : column + 1]] = barycentrics[:, column]
    weights = fit_sparse_regressor(
        vertices[:, kept].astype(float), vertices.astype(float), support, prior, settings.ridge
    )
    weights[kept] = 0
    weights[kept, np.argmax(support[kept] == np.arange(len(kept))[:, None], axis=1)] = (
        1  # template vertices are exact
    )
    return support, weights


def rest_barycentrics(
    surface: BodySurface, kept: np.ndarray, faces: np.ndarray, face_parts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Low-poly triangle (N, 3) and barycentrics (N, 3) nearest to each body vertex in the rest pose, within
    its part."""
    part = np.zeros(len(surface.vertices), int)
    part[surface.faces] = surface.face_parts[:, None]
    low_poly = surface.vertices[kept]
    triangles, barycentrics, _ = TriangleFinder(low_poly[faces], face_parts)(surface.vertices, part)
    return faces[triangles], barycentrics


def fit_point_regressor(sources: np.ndarray, targets: np.ndarray, support: int) -> np.ndarray:
    """Fit joints or keypoints as affine combinations of the template vertices that keep their distance to
    them best.

    Args:
        sources: (B, V, 3) template vertices on posed bodies.
        targets: (B, J, 3) joints or keypoints on them.
        support: Template vertices that determine a point.

    Returns:
        (J, V) weights, rows summing to 1.
    """
    distances = np.linalg.norm(targets[:, :, None] - sources[:, None], axis=3)  # (B, J, V)
    score = distances.mean(axis=0) + 4 * distances.std(axis=0)
    nearest = np.argsort(score, axis=1)[:, :support]
    prior = np.full(nearest.shape, 1 / support)
    weights = fit_sparse_regressor(sources, targets.astype(float), nearest, prior, strength=1e-6)
    regressor = np.zeros(score.shape)
    np.put_along_axis(regressor, nearest, weights, axis=1)
    return regressor
