"""A body with the surface of another: anny in SMPL's topology, with DensePose's charts, without a file of SMPL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from ..bodies import BodyModel, PosedBody
from .correspondence import SurfaceCorrespondence


@dataclass(eq=False, repr=False)
class ResurfacedBody:
    """Skeleton, shapes and poses of one body, vertices and faces of another.

    Its vertices are points of the first body's surface that stand for the vertices of the other. A template built
    on it means the other body's vertices: meshes of that body are ground truth for it, and charts of that body lie
    on it.

    Args:
        body: The body that is posed, the correspondence's target.
        correspondence: Says where on it each vertex of the source is.
        faces: (M, 3) faces of the source.

    Attributes:
        name: Name of the correspondence's source.
        vertices, faces, joint_names, parents, shape_names, keypoint_names, keypoint_regressor, skin_weights: As
            in BodyModel; the keypoints' weights are those of the posed body on the nearest vertices.
    """

    body: BodyModel
    correspondence: SurfaceCorrespondence
    faces: np.ndarray

    def __post_init__(self) -> None:
        found = self.correspondence
        if found.target != self.body.name or found.num_target_vertices != len(self.body.vertices):
            raise ValueError(
                f"the correspondence leads to body '{found.target}' of {found.num_target_vertices} vertices, not "
                f"to '{self.body.name}' of {len(self.body.vertices)}"
            )
        if self.faces.min() < 0 or self.faces.max() >= len(found.faces):
            raise ValueError(
                f"the faces name vertices up to {self.faces.max()}, '{found.source}' has {len(found.faces)}"
            )
        self.name = found.source
        self.joint_names, self.parents = self.body.joint_names, self.body.parents
        self.shape_names, self.keypoint_names = self.body.shape_names, self.body.keypoint_names
        starts = np.arange(0, found.faces.size + 1, 3)
        self._matrix = csr_matrix(
            (found.barycentrics.ravel(), found.faces.ravel(), starts),
            shape=(len(found.faces), len(self.body.vertices)),
        )
        self.vertices = (self._matrix @ self.body.vertices).astype(np.float32)
        nearest = cKDTree(self.vertices).query(self.body.vertices)[1]
        self.keypoint_regressor = np.zeros((len(self.keypoint_names), len(self.vertices)), np.float32)
        for row, weights in zip(self.keypoint_regressor, self.body.keypoint_regressor):
            np.add.at(row, nearest, weights)

    @property
    def skin_weights(self) -> np.ndarray:
        """(N, J) float32 skin weights."""
        return np.asarray(self._matrix @ self.body.skin_weights)

    def pose(
        self, shape: np.ndarray, rotations: np.ndarray, translation: np.ndarray | None = None
    ) -> PosedBody:
        """Shape and pose one body or a batch; see BodyModel.pose."""
        posed = self.body.pose(shape, rotations, translation)
        flat = posed.vertices.reshape((-1,) + posed.vertices.shape[-2:])
        vertices = np.stack([self._matrix @ one for one in flat]).astype(np.float32)
        return PosedBody(
            vertices.reshape(posed.vertices.shape[:-2] + vertices.shape[-2:]), posed.joints, posed.keypoints
        )

    def sample_shape(self, rng: np.random.Generator) -> np.ndarray:
        """Draw (S,) float32 shape parameters of a plausible person."""
        return self.body.sample_shape(rng)
