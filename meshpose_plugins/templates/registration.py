"""Fit one body to the surface of another: first its shape and pose, then, smoothly, every vertex.

Sources: P. Besl, N. McKay, "A method for registration of 3-D shapes", PAMI 1992; B. Amberg, S. Romdhani,
T. Vetter, "Optimal step nonrigid ICP algorithms for surface registration", CVPR 2007.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import diags, identity
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ..bodies import BodyModel, PosedBody
from ..bodies.pose_transfer import limb_landmarks
from .mesh_topology import adjacency_matrix, face_normals, unique_edges
from .segmentation import adjacent_segments

#: Joints of MakeHuman's rig that are turned: first the limbs and the trunk, then the fingers too.
_CENTRAL_JOINTS = ('root', 'spine03', 'neck01', 'head')
_LIMB_JOINTS = ('clavicle', 'upperarm01', 'lowerarm01', 'wrist', 'upperleg01', 'lowerleg01', 'foot')
_FINGER_JOINTS = tuple(f'finger{finger}-{k}' for finger in range(1, 6) for k in (1, 2, 3))
#: What one radian between normals weighs in the search for partners, metres.
_NORMAL_WEIGHT = 0.05


@dataclass
class RegistrationSettings:
    """How a body is fitted.

    Attributes:
        joint_steps, surface_steps, finger_steps: Gauss-Newton steps on the joints alone, then on the surface,
            then with the fingers.
        joint_weight: Weight of a joint's squared distance against that of the whole surface.
        pose_weight, shape_weight: Pull towards the rest pose (square radians) and the middle shape.
        stiffness: Smoothness of the displacements in the steps of the last stage.
    """

    joint_steps: int = 12
    surface_steps: int = 15
    finger_steps: int = 10
    joint_weight: float = 0.02
    pose_weight: float = 1e-5
    shape_weight: float = 1e-5
    stiffness: tuple[float, ...] = (300, 100, 100, 30, 30, 10, 10, 5, 5, 3, 3, 2, 2)


class SurfaceSamples:
    """Points on a surface among which those of a compatible body segment and direction are found quickly.

    Args:
        vertices, faces: The surface.
        segments: (N,) body segment of each vertex, as indices into ``SEGMENT_NAMES``.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, segments: np.ndarray) -> None:
        self.points, self.segments = vertices, segments
        self.normals = vertex_normals(vertices, faces)
        self._trees: dict[int, tuple[cKDTree, np.ndarray]] = {}

    def nearest(self, points: np.ndarray, normals: np.ndarray, segments: np.ndarray) -> np.ndarray:
        """Ids (P,) of the partners of points (P, 3) with normals (P, 3) in segments (P,)."""
        result = np.empty(len(points), np.int64)
        query = np.concatenate([points, _NORMAL_WEIGHT * normals], axis=1)
        for segment in np.unique(segments):
            if segment not in self._trees:
                ids = np.flatnonzero(np.isin(self.segments, adjacent_segments(segment)))
                both = np.concatenate([self.points[ids], _NORMAL_WEIGHT * self.normals[ids]], axis=1)
                self._trees[segment] = cKDTree(both), ids
            tree, ids = self._trees[segment]
            chosen = segments == segment
            result[chosen] = ids[tree.query(query[chosen])[1]]
        return result


class BodyRegistration:
    """Fits a body with MakeHuman's rig to the rest surface of one of the SMPL family or MHR.

    Args:
        body: The body that is fitted.
        target: The body whose surface it takes.
        segments, target_segments: Body segments of their vertices; parts of the body find partners in the
            same or a neighbouring segment only, so that no point jumps from an arm to the trunk or from leg
            to leg.
        outer: (N,) which vertices of the body are on its outside; the others only follow.
        settings: See :class:`RegistrationSettings`.
        report: Called with a line of text after each stage.
    """

    def __init__(
        self,
        body: BodyModel,
        target: BodyModel,
        segments: np.ndarray,
        target_segments: np.ndarray,
        outer: np.ndarray,
        settings: RegistrationSettings | None = None,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.body, self.target, self.report = body, target, report
        self.settings = settings or RegistrationSettings()
        self.segments, self.outer = segments, outer
        rest = rest_pose(target)
        self.samples = SurfaceSamples(rest.vertices.astype(float), target.faces, target_segments)
        marks = limb_landmarks(target)
        self._marks = np.array([body.joint_names.index(name) for name in marks.values()])
        self._mark_targets = rest.joints[[target.joint_names.index(name) for name in marks]].astype(float)
        names = list(_CENTRAL_JOINTS) + [f'{name}.{side}' for side in 'LR' for name in _LIMB_JOINTS]
        fingers = [f'{name}.{side}' for side in 'LR' for name in _FINGER_JOINTS]
        self._turned = np.array([body.joint_names.index(name) for name in names + fingers])
        self._num_limbs = len(names)
        self._num_shapes = len(body.shape_names)

    def run(self) -> np.ndarray:
        """Fit and return the body's vertices (N, 3) on the target's surface, metres."""
        settings = self.settings
        start = self._num_shapes + 3 * len(self._turned)
        parameters = np.concatenate([np.full(self._num_shapes, 0.5), np.zeros(start - self._num_shapes + 4)])
        parameters[start : start + 3] = self._mark_targets.mean(axis=0) - self._pose(parameters[None])[1][
            0, self._marks
        ].mean(axis=0)
        without_fingers = np.ones(len(parameters), bool)
        without_fingers[self._num_shapes + 3 * self._num_limbs : start] = False
        for _ in range(settings.joint_steps):
            parameters = self._step(parameters, without_fingers, surface=False)
        self._say('joints', parameters)
        for _ in range(settings.surface_steps):
            parameters = self._step(parameters, without_fingers, surface=True)
        self._say('pose and shape', parameters)
        for _ in range(settings.finger_steps):
            parameters = self._step(parameters, np.ones(len(parameters), bool), surface=True)
        self._say('with fingers', parameters)
        vertices = self._refine(self._pose(parameters[None])[0][0])
        self.report(f'free: {1000 * self._distance(vertices):.1f} mm')
        return vertices

    def _pose(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (B, N, 3) and joints (B, J, 3) of parameters (B, Q): shape, turns, place, log of size."""
        first, last = self._num_shapes, self._num_shapes + 3 * len(self._turned)
        rotations = np.tile(np.eye(3), (len(parameters), len(self.body.joint_names), 1, 1))
        turns = Rotation.from_rotvec(parameters[:, first:last].reshape(-1, 3)).as_matrix()
        rotations[:, self._turned] = turns.reshape(len(parameters), -1, 3, 3)
        posed = self.body.pose(np.clip(parameters[:, :first], 0, 1), rotations)
        size = np.exp(parameters[:, -1])[:, None, None]
        offset = parameters[:, None, last : last + 3]
        return posed.vertices * size + offset, posed.joints * size + offset

    def _step(
        self, parameters: np.ndarray, free: np.ndarray, surface: bool, delta: float = 1e-3
    ) -> np.ndarray:
        """One Gauss-Newton step with numerical derivatives."""
        settings, free = self.settings, np.flatnonzero(free)
        varied = np.tile(parameters, (len(free) + 1, 1))
        steps = np.where(parameters[free] > 0.9, -delta, delta)
        varied[np.arange(1, len(varied)), free] += steps
        vertices, joints = self._pose(varied)
        joint_change = (joints[1:, self._marks] - joints[0, self._marks]) / steps[:, None, None]
        joint_error = self._mark_targets - joints[0, self._marks]
        weight = (settings.joint_weight if surface else 1.0) / len(self._marks)
        jacobian = joint_change.reshape(len(free), -1)
        normal, right = weight * jacobian @ jacobian.T, weight * jacobian @ joint_error.ravel()
        if surface:
            for ids, directions, error, share in self._pairs(vertices[0]):
                change = (
                    np.einsum('qpd,pd->qp', vertices[1:, ids] - vertices[0, ids], directions) / steps[:, None]
                )
                normal += share * change @ change.T
                right += share * change @ error
        pull = np.full(len(parameters), settings.pose_weight)
        pull[: self._num_shapes] = settings.shape_weight
        pull[-4:] = 0
        middle = np.zeros(len(parameters))
        middle[: self._num_shapes] = 0.5
        normal += np.diag(pull[free] + 1e-9)
        right += pull[free] * (middle - parameters)[free]
        result = parameters.copy()
        result[free] += np.clip(np.linalg.solve(normal, right), -0.3, 0.3)
        result[: self._num_shapes] = np.clip(result[: self._num_shapes], 0, 1)
        return result

    def _pairs(self, vertices: np.ndarray):
        """Vertices, directions, signed distances and weights of point-to-plane partners, both ways."""
        ids = np.flatnonzero(self.outer)
        partner = self._partners(vertices)[ids]
        yield self._robust(ids, self.samples.normals[partner], self.samples.points[partner] - vertices[ids])
        own = SurfaceSamples(vertices, self.body.faces, np.where(self.outer, self.segments, -1))
        back = own.nearest(self.samples.points, self.samples.normals, self.samples.segments)
        yield self._robust(back, own.normals[back], self.samples.points - vertices[back])

    @staticmethod
    def _robust(ids: np.ndarray, directions: np.ndarray, offset: np.ndarray):
        error = (offset * directions).sum(axis=1)
        scale = np.sqrt(1 / (1 + (np.linalg.norm(offset, axis=1) / 0.03) ** 2))  # far partners are wrong ones
        return ids, directions * scale[:, None], error * scale, 1 / len(ids)

    def _refine(self, vertices: np.ndarray) -> np.ndarray:
        """Move every vertex to the surface, its neighbours along with it."""
        adjacency = adjacency_matrix(unique_edges(self.body.faces), len(vertices))
        degree = np.asarray(adjacency.sum(axis=1)).ravel()
        laplacian = identity(len(vertices)) - diags(1 / degree) @ adjacency
        smooth = (laplacian.T @ laplacian).tocsc()
        for stiffness in self.settings.stiffness:
            normals, partner = vertex_normals(vertices, self.body.faces), self._partners(vertices)
            direction = self.samples.normals[partner]
            offset = self.samples.points[partner] - vertices
            away = np.linalg.norm(offset, axis=1)
            weight = self.outer * (np.einsum('nd,nd->n', normals, direction) > 0.5) / (1 + (away / 0.03) ** 2)
            wanted = (offset * direction).sum(axis=1, keepdims=True) * direction
            system = (diags(weight + 1e-6) + stiffness * smooth).tocsc()
            vertices = vertices + splu(system).solve(weight[:, None] * wanted)
        return vertices

    def _partners(self, vertices: np.ndarray) -> np.ndarray:
        """(N,) vertex of the target for each of the body's."""
        return self.samples.nearest(vertices, vertex_normals(vertices, self.body.faces), self.segments)

    def _distance(self, vertices: np.ndarray) -> float:
        """Mean distance of the outer vertices from the target's surface, metres."""
        partner = self._partners(vertices)
        offset = self.samples.points[partner] - vertices
        return float(np.abs((offset * self.samples.normals[partner]).sum(axis=1))[self.outer].mean())

    def _say(self, stage: str, parameters: np.ndarray) -> None:
        vertices, joints = self._pose(parameters[None])
        away = np.linalg.norm(joints[0, self._marks] - self._mark_targets, axis=1).mean()
        self.report(
            f'{stage}: {1000 * self._distance(vertices[0]):.1f} mm from the surface, '
            f'joints {1000 * away:.0f} mm'
        )


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(N, 3) unit normals of vertices: of the faces around them, weighted by area."""
    flat = face_normals(vertices, faces, unit=False)
    normals = np.stack(
        [
            np.bincount(faces.ravel(), np.repeat(flat[:, axis], 3), minlength=len(vertices))
            for axis in range(3)
        ],
        axis=1,
    )
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)


def rest_pose(body: BodyModel) -> PosedBody:
    """A body of middle shape at rest."""
    rotations = np.tile(np.eye(3), (len(body.joint_names), 1, 1))
    return body.pose(np.full(len(body.shape_names), 0.5), rotations)
