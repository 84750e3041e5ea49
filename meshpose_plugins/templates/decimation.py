"""Choose a low-poly mesh among the vertices of a body: symmetric half-edge collapse by quadric error.

Source: M. Garland, P. Heckbert, "Surface simplification using quadric error metrics", SIGGRAPH 1997, restricted to
half-edge collapses, so that every remaining vertex is a vertex of the body.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from .mesh_topology import face_normals

#: More detail than their size on the body would earn for hands (3, 4), feet (5, 6) and head (23, 24).
DETAIL_WEIGHTS = {3: 12.0, 4: 12.0, 5: 2.0, 6: 2.0, 23: 6.0, 24: 6.0}


@dataclass
class DecimationSettings:
    """What the collapse order weighs.

    Attributes:
        num_vertices: Vertices to keep (one more or less where a symmetric pair decides).
        uniformity: Weight of the squared length that a vertex moves, against the squared distance from the
            surface.
        seam_weight: Weight of staying on the border between two parts.
        part_weights: Multiplies the error on the faces of a part; more than 1 keeps more detail there.
        max_normal_turn: Collapses that turn a face's normal in the rest pose by more degrees than this are
            refused.
    """

    num_vertices: int = 500
    uniformity: float = 0.1
    seam_weight: float = 0.2
    part_weights: dict[int, float] = field(default_factory=lambda: dict(DETAIL_WEIGHTS))
    max_normal_turn: float = 100.0


class SymmetricDecimator:
    """Collapses pairs of mirrored edges, cheapest first, until few enough vertices are left.

    Borders between parts survive: a vertex on a border moves along it only, and a vertex where three borders
        meet stays, so
    that each low-poly face lies in one part. A vertex in the mirror plane moves within it.

    Args:
        poses: (P, N, 3) vertex positions in P poses, the rest pose first; errors are summed over them.
        faces: (F, 3) vertex ids of a closed, mirror symmetric manifold.
        face_parts: (F,) part of each face.
        symmetry: (N,) mirror partner of each vertex.
        settings: See :class:`DecimationSettings`.
    """

    def __init__(
        self,
        poses: np.ndarray,
        faces: np.ndarray,
        face_parts: np.ndarray,
        symmetry: np.ndarray,
        settings: DecimationSettings,
    ) -> None:
        self.poses = np.ascontiguousarray(poses.transpose(1, 0, 2).astype(float))  # (N, P, 3)
        self.faces, self.face_parts = faces.copy(), face_parts
        self.symmetry, self.settings = symmetry, settings
        self.alive = np.ones(len(faces), bool)
        self.faces_of: list[set[int]] = [set() for _ in range(len(symmetry))]
        for face, corners in enumerate(faces.tolist()):
            for vertex in corners:
                self.faces_of[vertex].add(face)
        self.seam_neighbours = self._find_seams()
        self._build_quadrics()

    def run(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Collapse and return (kept vertex ids (V,), faces (F', 3) into them, part of each face (F',))."""
        version = np.zeros(len(self.symmetry), int)
        queue: list[tuple[float, int, int, int]] = []
        for vertex in range(len(self.symmetry)):
            self._enqueue(queue, vertex, version)
        remaining = len(self.symmetry)
        while queue and remaining > self.settings.num_vertices:
            _, vertex, target, seen = heapq.heappop(queue)
            if seen != version[vertex] or not self.faces_of[vertex]:
                continue
            removed, touched = self._collapse_pair(vertex, target)
            remaining -= removed
            for other in touched:
                version[other] += 1
            for other in touched:
                self._enqueue(queue, other, version)
        if remaining > self.settings.num_vertices:
            raise ValueError(
                f'cannot go below {remaining} vertices (num_vertices={self.settings.num_vertices} asked): '
                'the borders between parts need the others'
            )
        kept = np.unique(self.faces[self.alive])
        index = np.full(len(self.symmetry), -1)
        index[kept] = np.arange(len(kept))
        return kept, index[self.faces[self.alive]], self.face_parts[self.alive]

    def _find_seams(self) -> list[set[int]]:
        """Neighbours of each vertex along the borders between parts."""
        parts_at: dict[tuple[int, int], int] = {}
        seams: list[set[int]] = [set() for _ in range(len(self.symmetry))]
        for (a, b, c), part in zip(self.faces.tolist(), self.face_parts.tolist()):
            for start, end in ((a, b), (b, c), (c, a)):
                other = parts_at.setdefault((min(start, end), max(start, end)), part)
                if other != part:
                    seams[start].add(end)
                    seams[end].add(start)
        return seams

    def _build_quadrics(self) -> None:
        """Area-weighted plane quadrics of the faces, and planes through the seams at right angles to them."""
        settings = self.settings
        weights = np.ones(len(self.faces))
        for part, weight in settings.part_weights.items():
            weights[self.face_parts == part] = weight
        num_vertices, num_poses = self.poses.shape[:2]
        self.quadrics = np.zeros((num_vertices, num_poses, 4, 4))
        self.areas = np.zeros(num_vertices)
        for pose in range(num_poses):
            points = self.poses[:, pose]
            normals = face_normals(points, self.faces, unit=False)
            double_area = np.linalg.norm(normals, axis=1)
            normals = normals / np.maximum(double_area, 1e-20)[:, None]
            share = weights * double_area / 6
            self._add_planes(pose, self.faces, normals, points[self.faces[:, 0]], share)
            for corner in range(3):
                if pose == 0:
                    np.add.at(self.areas, self.faces[:, corner], share)
                start, end = self.faces[:, corner], self.faces[:, (corner + 1) % 3]
                seam = np.array([e in self.seam_neighbours[s] for s, e in zip(start.tolist(), end.tolist())])
                along = points[end[seam]] - points[start[seam]]
                across = np.cross(along, normals[seam])
                across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-20)
                seam_share = settings.seam_weight * weights[seam] * (along**2).sum(axis=1) / 2
                self._add_planes(
                    pose, np.stack([start[seam], end[seam]], axis=1), across, points[start[seam]], seam_share
                )

    def _add_planes(
        self, pose: int, vertices: np.ndarray, normals: np.ndarray, points: np.ndarray, share: np.ndarray
    ) -> None:
        planes = np.concatenate([normals, -(normals * points).sum(axis=1, keepdims=True)], axis=1)
        products = planes[:, :, None] * planes[:, None, :] * share[:, None, None]
        for column in range(vertices.shape[1]):
            np.add.at(self.quadrics[:, pose], vertices[:, column], products)

    def _neighbours(self, vertex: int) -> set[int]:
        around: set[int] = set()
        for face in self.faces_of[vertex]:
            around.update(self.faces[face].tolist())
        around.discard(vertex)
        return around

    def _targets(self, vertex: int) -> list[int]:
        """Vertices to which this one may move without leaving its border or the mirror plane."""
        seams = self.seam_neighbours[vertex]
        if seams and len(seams) != 2:
            return []
        candidates = seams if seams else self._neighbours(vertex)
        in_plane = self.symmetry[vertex] == vertex
        return [
            target
            for target in candidates
            if (not in_plane or self.symmetry[target] == target) and self.symmetry[vertex] != target
        ]

    def _enqueue(self, queue: list, vertex: int, version: np.ndarray) -> None:
        if not self.faces_of[vertex]:
            return
        targets = self._targets(vertex)
        if not targets:
            return
        points = self.poses[targets]  # (T, P, 3)
        homogeneous = np.concatenate([points, np.ones(points.shape[:2] + (1,))], axis=2)
        error = np.einsum('tpi,pij,tpj->t', homogeneous, self.quadrics[vertex], homogeneous)
        moved = ((points - self.poses[vertex]) ** 2).sum(axis=(1, 2))
        cost = error + self.settings.uniformity * self.areas[vertex] * moved
        for value, target in zip(cost.tolist(), targets):
            heapq.heappush(queue, (value, vertex, target, int(version[vertex])))

    def _collapse_pair(self, vertex: int, target: int) -> tuple[int, set[int]]:
        """Move a vertex and its mirror partner; returns how many vertices vanished and whose costs
        changed."""
        pairs = [(vertex, target)]
        partner = int(self.symmetry[vertex])
        if partner != vertex:
            pairs.append((partner, int(self.symmetry[target])))
        if partner in self._neighbours(vertex) or not self._is_valid(*pairs[0]):
            return 0, set()
        undo = self._collapse(*pairs[0])
        if len(pairs) == 2:
            if not self._is_valid(*pairs[1]):
                self._restore(undo)
                return 0, set()
            self._collapse(*pairs[1])
        touched: set[int] = set()
        for gone, kept in pairs:
            self.quadrics[kept] += self.quadrics[gone]
            self.areas[kept] += self.areas[gone]
            self._join_seam(gone, kept)
            touched |= self._neighbours(kept) | {kept}
        return len(pairs), touched

    def _join_seam(self, gone: int, kept: int) -> None:
        for other in self.seam_neighbours[gone]:
            self.seam_neighbours[other].discard(gone)
            if other != kept:
                self.seam_neighbours[other].add(kept)
                self.seam_neighbours[kept].add(other)
        self.seam_neighbours[gone] = set()

    def _is_valid(self, vertex: int, target: int) -> bool:
        """Check the link condition, that seams stay apart, and that no face turns over."""
        around_vertex, around_target = self._neighbours(vertex), self._neighbours(target)
        if target not in around_vertex or len(around_vertex & around_target) != 2:
            return False
        seams = self.seam_neighbours[vertex]
        if seams:
            other = next(iter(seams - {target}))
            if other in self.seam_neighbours[target] or other in around_target:
                return False
        limit = np.cos(np.radians(self.settings.max_normal_turn))
        for face in self.faces_of[vertex]:
            corners = self.faces[face].tolist()
            if target in corners:
                continue
            moved = [target if corner == vertex else corner for corner in corners]
            before, after = (_normal(*self.poses[ids, 0]) for ids in (corners, moved))
            if before @ after <= limit * np.linalg.norm(before) * np.linalg.norm(after) + 1e-16:
                return False
        return True

    def _collapse(self, vertex: int, target: int) -> list[tuple[int, np.ndarray]]:
        undo = [(face, self.faces[face].copy()) for face in self.faces_of[vertex]]
        for face, corners in undo:
            if target in corners:
                self.alive[face] = False
                for corner in corners.tolist():
                    self.faces_of[corner].discard(face)
            else:
                self.faces[face][corners == vertex] = target
                self.faces_of[target].add(face)
        self.faces_of[vertex] = set()
        return undo

    def _restore(self, undo: list[tuple[int, np.ndarray]]) -> None:
        for face, corners in undo:
            for corner in self.faces[face].tolist():
                self.faces_of[corner].discard(face)
            self.faces[face] = corners
            self.alive[face] = True
            for corner in corners.tolist():
                self.faces_of[corner].add(face)


def _normal(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    u, v = b - a, c - a
    return np.array([u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]])
