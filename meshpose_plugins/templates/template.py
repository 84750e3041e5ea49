"""The low-poly body surface that a MeshPose network predicts, and everything that depends on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from scipy.sparse import csr_matrix

from .mesh_topology import face_permutation, topological_mirror, unique_edges
from .partly_known import PartlyKnown
from .parts import NUM_PARTS
from .projection import TriangleFinder

Array = TypeVar('Array', np.ndarray, Any)  # a NumPy array or a torch tensor


@dataclass(frozen=True, repr=False)
class BodySurface(PartlyKnown):
    """A full-resolution body surface with its DensePose charts.

    All but the faces may be unknown, see :class:`PartlyKnown`.

    Attributes:
        vertices: (N, 3) rest positions, metres, float32.
        faces: (M, 3) vertex ids, int64.
        face_parts: (M,) DensePose part 1 to 24 of each face.
        face_uv: (M, 3, 2) chart coordinates U, V in [0, 1] of each face's corners, float32.
    """

    vertices: np.ndarray | None
    faces: np.ndarray
    face_parts: np.ndarray | None
    face_uv: np.ndarray | None

    _needed_for = {
        'vertices': 'rest positions say how large a body is and where annotated points lie',
        'face_parts': 'DensePose charts need them; drawing the mesh alone does not',
        'face_uv': 'DensePose charts need them; drawing the mesh alone does not',
    }

    @cached_property
    def _chart_finder(self) -> TriangleFinder:
        return TriangleFinder(self.face_uv, self.face_parts)

    @cached_property
    def _point_finder(self) -> TriangleFinder:
        return TriangleFinder(self.vertices[self.faces], self.face_parts)

    def points(self, faces: np.ndarray, barycentrics: np.ndarray) -> np.ndarray:
        """Rest positions (P, 3) in metres of surface points given as face ids (P,) and barycentrics (P,
        3)."""
        return np.einsum('pk,pkd->pd', barycentrics, self.vertices[self.faces[faces]])

    def locate_iuv(self, i: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the surface points of chart coordinates; (U, V) beside the chart go to its nearest point.

        Args:
            i, u, v: (P,) part 1 to 24 and chart coordinates in [0, 1].

        Returns:
            face ids (P,) and barycentrics (P, 3).

        Raises:
            ValueError: If a part is not in 1..24 or a coordinate not in [0, 1].
        """
        i, uv = np.asarray(i), np.stack([np.asarray(u, float), np.asarray(v, float)], axis=-1)
        check_iuv(i, uv)
        faces, barycentrics, _ = self._chart_finder(uv, i.astype(int))
        return faces, barycentrics

    def nearest(self, points: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the surface points of given parts (P,) that are nearest to rest positions (P, 3): face ids,
        barycentrics."""
        faces, barycentrics, _ = self._point_finder(points, parts)
        return faces, barycentrics

    @cached_property
    def symmetry(self) -> np.ndarray:
        """(N,) left-right mirror partner of each vertex, by the connectivity of the faces."""
        return topological_mirror(self.vertices, self.faces)

    @cached_property
    def _mirror_faces(self) -> np.ndarray:
        return face_permutation(self.faces, self.symmetry)

    def mirror(self, faces: np.ndarray, barycentrics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mirror partners of surface points given as face ids (P,) and barycentrics (P, 3), likewise."""
        mirrored = self._mirror_faces[faces]
        corners = self.symmetry[self.faces[faces]]  # the mirrored face lists them in another order
        order = np.argmax(self.faces[mirrored][:, :, None] == corners[:, None, :], axis=2)
        return mirrored, np.take_along_axis(np.asarray(barycentrics), order, axis=1)

    def iuv(self, faces: np.ndarray, barycentrics: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Chart coordinates I, U, V (P,) of surface points given as face ids (P,) and barycentrics (P, 3)."""
        uv = np.einsum('pk,pkd->pd', barycentrics, self.face_uv[faces])
        return self.face_parts[faces], uv[:, 0], uv[:, 1]


@dataclass(frozen=True, repr=False)
class MeshTemplate(PartlyKnown):
    """A low-poly mesh on the vertices of a body: the meaning of a network's V output channels.

    Every vertex is a vertex of the body, so that ground truth is ``full_vertices[source_vertex_ids]``, and
    every face lies in one DensePose part. Loaded by :func:`meshpose_plugins.templates.load_template`.

    Of a network that others trained, not everything may be known: what has the default None below may be
    missing, see :class:`PartlyKnown`.

    Attributes:
        name: Name of the template; data sets, checkpoints and predictions carry it.
        body: Name of the body model to whose surface it belongs.
        num_vertices: V, the number of vertices; by default that of ``vertices``.
        vertices: (V, 3) rest positions, metres.
        faces: (F, 3) vertex ids, counter-clockwise seen from outside.
        face_parts: (F,) DensePose part 1 to 24 of each face.
        source_vertex_ids: (V,) vertex of the body that each vertex is.
        symmetry: (V,) left-right mirror partner, an involution that maps faces to faces.
        upsampler_ids, upsampler_weights: (N, K) each body vertex as a combination of K template vertices;
            without ids, of all of them in order (K = V).
        upsampler_bias: (N,) what is added to every coordinate of a body vertex, in the unit of the network
            that learned it (crop px); None: nothing.
        upsampler_center: (V,) weights of the point that is the upsampler's origin; None: it has none.
        seams: (S, 2) pairs of vertices that are the same point of the body: a network's fused predictions of
            both are averaged. No vertex is in two pairs.
        joint_names, joint_regressor: (J, V) joints as affine combinations of the vertices; the first is the
            root.
        keypoint_names, keypoint_regressor: (17, V) COCO keypoints likewise; (0, V) where none are known.
        geodesics: (V, V) distances along the full body's surface, metres.
        surface: The full-resolution surface and its charts.
    """

    name: str
    body: str
    num_vertices: int | None = None
    vertices: np.ndarray | None = None
    faces: np.ndarray | None = None
    face_parts: np.ndarray | None = None
    source_vertex_ids: np.ndarray | None = None
    symmetry: np.ndarray | None = None
    upsampler_ids: np.ndarray | None = None
    upsampler_weights: np.ndarray | None = None
    upsampler_bias: np.ndarray | None = None
    upsampler_center: np.ndarray | None = None
    seams: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    joint_names: tuple[str, ...] = ()
    joint_regressor: np.ndarray | None = None
    keypoint_names: tuple[str, ...] = ()
    keypoint_regressor: np.ndarray | None = None
    geodesics: np.ndarray | None = None
    surface: BodySurface | None = None
    _on_device: dict = field(default_factory=dict, init=False, compare=False)

    _needed_for = {
        'vertices': 'rest positions say how large a body is and where annotated points lie',
        'faces': 'its low-poly mesh cannot be drawn or exported, take annotated points, or train edges',
        'face_parts': 'annotated points and charts of the low-poly mesh need them',
        'source_vertex_ids': 'meshes of the body give no ground truth for it, so that it cannot be trained',
        'symmetry': 'set flip_test=False and leave RandomFlip out of the pipeline',
        'upsampler_weights': 'its full-resolution mesh is unknown; name a template file that has it',
        'joint_regressor': 'errors relative to the root joint, and joint losses, need it',
        'keypoint_regressor': 'keypoints need it',
        'geodesics': 'distances along the body need them',
        'surface': 'drawing and charts need the faces of the full body: '
        'tools/import_published.py --surface FILE takes them from a file of yours',
    }

    def __post_init__(self) -> None:
        if vars(self)['num_vertices'] is None:
            object.__setattr__(self, 'num_vertices', len(self.vertices))
        ids = self.seams.ravel()
        if self.seams.shape[1:] != (2,) or len(np.unique(ids)) != len(ids):
            raise ValueError(
                f"template '{self.name}': seams must be (S, 2) pairs with no vertex in two of them, got "
                f'{len(ids)} ids, {len(np.unique(ids))} different, in shape {self.seams.shape}'
            )
        if len(ids) and not 0 <= ids.min() <= ids.max() < self.num_vertices:
            raise ValueError(
                f"template '{self.name}': seams name vertices {ids.min()} to {ids.max()}, it has "
                f'{self.num_vertices}'
            )

    @property
    def num_body_vertices(self) -> int:
        """N, the number of vertices of the full-resolution surface."""
        return len(self.upsampler_weights)

    @property
    def root_joint(self) -> int:
        """Index of the joint to which depths are relative."""
        return 0

    @cached_property
    def edges(self) -> np.ndarray:
        """(E, 2) vertex ids of the edges, each once."""
        return unique_edges(self.faces)

    def upsample(self, xyz: Array) -> Array:
        """Interpolate the full body surface from low-poly vertices.

        Args:
            xyz: (..., V, D) positions, a NumPy array or a torch tensor; in any frame, or where the upsampler
                has a bias, in crop px.

        Returns:
            (..., N, D) positions of the body's vertices, of the same kind.
        """
        self._check_vertices(xyz)
        full = self._apply('upsampler', self._upsampler_matrix, xyz)
        if self.upsampler_bias is None:
            return full
        bias = np.array(self.upsampler_bias)[:, None]  # a copy: torch warns of read-only arrays
        return full + (bias if isinstance(xyz, np.ndarray) else full.new_tensor(bias))

    def joints(self, xyz: Array) -> Array:
        """Regress the joints (..., J, D) from vertices (..., V, D), NumPy or torch."""
        self._check_vertices(xyz)
        return self._apply('joints', lambda: self.joint_regressor, xyz)

    def keypoints(self, xyz: Array) -> Array:
        """Regress the COCO keypoints (..., 17, D) from vertices (..., V, D), NumPy or torch."""
        self._check_vertices(xyz)
        return self._apply('keypoints', lambda: self.keypoint_regressor, xyz)

    def keypoint_scores(self, visibility: Array) -> Array:
        """Score the COCO keypoints by how visible the vertices are from which they are regressed.

        Args:
            visibility: (..., V) probabilities, NumPy or torch.

        Returns:
            (..., 17) in [0, 1], of the same kind: means weighted by the absolute values of the keypoint
            regressor.
        """
        self._check_vertices(visibility[..., None])
        return self._apply('keypoint_shares', self._keypoint_shares, visibility[..., None])[..., 0]

    def mirror(self, xyz: Array, width: float | None = None) -> Array:
        """Swap left and right vertices; with an image width also map x to ``width - 1 - x``.

        Args:
            xyz: (..., V, D) positions, D = 2 or 3, x first.
            width: Width of the image in pixels.

        Returns:
            (..., V, D) positions of the person in the mirrored image.
        """
        self._check_vertices(xyz)
        mirrored = xyz[..., np.array(self.symmetry), :]  # a copy: torch warns of read-only arrays
        if width is not None:
            mirrored = mirrored.copy() if isinstance(mirrored, np.ndarray) else mirrored.clone()
            mirrored[..., 0] = width - 1 - mirrored[..., 0]
        return mirrored

    def locate_iuv(self, i: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the low-poly surface points of DensePose chart coordinates.

        The chart gives a point of the full surface; the low-poly face nearest to it in the rest pose, among
        those of the same part, takes its place.

        Args:
            i, u, v: (P,) part 1 to 24 and chart coordinates in [0, 1].

        Returns:
            vertex ids (P, 3) of the low-poly triangles and barycentrics (P, 3), at least 0 and summing to 1.

        Raises:
            ValueError: If a part is not in 1..24 or a coordinate not in [0, 1].
        """
        full_faces, full_barycentrics = self.surface.locate_iuv(i, u, v)
        faces, barycentrics = self.locate(full_faces, full_barycentrics)
        return self.faces[faces], barycentrics

    def locate(self, full_faces: np.ndarray, full_barycentrics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map points of the full surface (face ids (P,), barycentrics (P, 3)) to low-poly face ids and
        barycentrics."""
        points = self.surface.points(full_faces, full_barycentrics)
        faces, barycentrics, _ = self._face_finder(points, self.surface.face_parts[full_faces])
        return faces, barycentrics

    def iuv(self, face: np.ndarray, barycentric: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give the DensePose chart coordinates of low-poly surface points.

        Args:
            face: (P,) low-poly face ids.
            barycentric: (P, 3) barycentrics.

        Returns:
            I (P,), U (P,), V (P,) of the nearest point of the same part on the full surface.
        """
        face = np.asarray(face)
        points = np.einsum('pk,pkd->pd', np.asarray(barycentric, float), self.vertices[self.faces[face]])
        return self.surface.iuv(*self.surface.nearest(points, self.face_parts[face]))

    def flip_iuv(
        self, i: np.ndarray, u: np.ndarray, v: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Chart coordinates (P,) of the mirrored surface points, found by way of the surface."""
        return self.surface.iuv(*self.surface.mirror(*self.surface.locate_iuv(i, u, v)))

    @cached_property
    def _face_finder(self) -> TriangleFinder:
        return TriangleFinder(self.vertices[self.faces], self.face_parts)

    def _upsampler_matrix(self) -> csr_matrix | np.ndarray:
        """Everything but the bias as one linear map, (N, V): sparse if every row has ids of its own."""
        if self.upsampler_ids is None:
            matrix = np.asarray(self.upsampler_weights)
        else:
            count, support = self.upsampler_ids.shape
            starts = np.arange(0, count * support + 1, support)
            matrix = csr_matrix(
                (self.upsampler_weights.ravel(), self.upsampler_ids.ravel(), starts),
                shape=(count, self.num_vertices),
            )
        if self.upsampler_center is None:
            return matrix
        # A(x - c) + c with c = w.x is (A + (1 - A1)w) x.
        dense = matrix.toarray() if isinstance(matrix, csr_matrix) else matrix
        centered = dense + np.outer(1 - dense.sum(axis=1, dtype=np.float64), self.upsampler_center)
        return centered.astype(np.float32)

    def _keypoint_shares(self) -> np.ndarray:
        weights = np.abs(self.keypoint_regressor)
        return weights / weights.sum(axis=1, keepdims=True)

    def _apply(self, name: str, matrix, xyz: Array) -> Array:
        """Multiply (..., V, D) positions by an (M, V) matrix that is made once per device and dtype."""
        if isinstance(xyz, np.ndarray):
            if name not in self._on_device:
                self._on_device[name] = matrix()
            flat = np.moveaxis(xyz, -2, 0).reshape(self.num_vertices, -1)
            result = np.asarray(self._on_device[name] @ flat, dtype=np.result_type(xyz.dtype, np.float32))
            return np.moveaxis(result.reshape((-1,) + xyz.shape[:-2] + xyz.shape[-1:]), 0, -2)
        import torch

        key = (name, xyz.device, xyz.dtype)
        if key not in self._on_device:
            dense = matrix()
            dense = dense.toarray() if isinstance(dense, csr_matrix) else dense
            self._on_device[key] = torch.tensor(dense, dtype=xyz.dtype, device=xyz.device)
        return self._on_device[key] @ xyz

    def _check_vertices(self, xyz: Array) -> None:
        if xyz.ndim < 2 or xyz.shape[-2] != self.num_vertices:
            raise ValueError(
                f"template '{self.name}' has {self.num_vertices} vertices: expected an array of shape "
                f'(..., {self.num_vertices}, D), got {tuple(xyz.shape)}'
            )


def check_iuv(i: np.ndarray, uv: np.ndarray) -> None:
    if i.shape != uv.shape[:-1] or i.ndim != 1:
        raise ValueError(f'I, U and V must be arrays of one shape (P,), got {i.shape} and {uv.shape[:-1]}')
    wrong = np.flatnonzero(~((i >= 1) & (i <= NUM_PARTS)))
    if len(wrong):
        raise ValueError(f'I must be a part 1 to {NUM_PARTS}, got {i[wrong[0]]} at point {wrong[0]}')
    wrong = np.flatnonzero(~((uv >= 0) & (uv <= 1)).all(axis=-1))
    if len(wrong):
        raise ValueError(f'U and V must lie in [0, 1], got {tuple(uv[wrong[0]])} at point {wrong[0]}')
