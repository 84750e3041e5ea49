"""MHR, the Momentum Human Rig, from its converted asset files: shaped and posed with NumPy and numba.

Source: Ferguson et al., "MHR: Momentum Human Rig" (2025), code and assets Apache-2.0. A joint's transform in
its parent's frame is a translation, its rest rotation times angles about z, y, x, and a scale; the surface is a
sum of blend shapes for identity and expression and of correctives of the pose (one sparse layer, ReLU, one
dense layer on the first two columns of the joints' rotations), carried by linear blend skinning.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple, Union

import numpy as np
from scipy.spatial.transform import Rotation

from .base import COCO_KEYPOINT_NAMES, SHAPE_RANGE, PosedBody, check_pose, sample_normal_shape
from .mhr_files import (
    JOINTS_WITHOUT_CORRECTIVES,
    NUM_EXPRESSION,
    NUM_IDENTITY,
    PARAMETERS_PER_JOINT,
    SITE,
    MhrArrays,
    read_assets,
)
from .mhr_keypoints import JOINT_KEYPOINTS, keypoint_regressor
from .rotations import Z_UP_FROM_Y_UP
from .skinning import blend_vertices_fast

#: The first coefficients of the identity shape the body, the others head and hands.
NUM_BODY_SHAPES = 20
_CHUNK = 32  # bodies posed at once, to bound memory


@dataclass(eq=False, repr=False)
class MhrBody:
    """MHR; `pose` speaks BodyModel's axes, `pose_parameters` those of MHR.

    Its first joint, 'body_world', holds the world's frame and no skin: the joints here start at 'root'.

    Attributes:
        name, vertices, faces, joint_names, parents, shape_names, keypoint_names, keypoint_regressor: as in
            BodyModel. A shape parameter of 0.5 is an identity coefficient of 0, 0 and 1 are -3 and +3.
        arrays: the asset files.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    joint_names: Tuple[str, ...]
    parents: np.ndarray
    shape_names: Tuple[str, ...]
    keypoint_names: Tuple[str, ...]
    keypoint_regressor: np.ndarray
    arrays: MhrArrays

    def __repr__(self) -> str:
        return f"MhrBody(vertices={len(self.vertices)}, file={str(self.arrays.path)!r})"

    @classmethod
    def load(cls, model_path: Union[str, Path], num_betas: int = 10) -> "MhrBody":
        """Read the asset files.

        Args:
            model_path: a folder with `rig.npz` and `lod1.npz`, or the file of another level of detail.
            num_betas: identity coefficients that `pose` takes, at most 20: those of the body.

        Raises:
            FileNotFoundError: if there are no such files.
            ValueError: naming file and field, if a file is broken or the rig another one.
        """
        if not 1 <= num_betas <= NUM_BODY_SHAPES:
            raise ValueError(f"num_betas must be 1 to {NUM_BODY_SHAPES} for 'mhr', got {num_betas}")
        arrays = read_assets(model_path)
        _check_rig(arrays)
        # The surface where the joints at rest put it: base_shape itself, if both were exported together.
        vertices, joints = _skin_chunk(arrays, *_rest_locals(arrays), arrays.base_shape[None])
        names, parents = arrays.joint_names[1:], arrays.parents[1:] - 1
        turn = Z_UP_FROM_Y_UP.astype(np.float32)
        vertices, joints = vertices[0] @ turn.T, joints[0, 1:] @ turn.T
        dense = arrays.skin.dense(len(arrays.joint_names))[:, 1:]
        try:
            regressor = keypoint_regressor(vertices, joints, names, parents, dense)
        except ValueError as error:
            raise ValueError(f"{arrays.path}: no COCO keypoints can be placed on it: {error}") from None
        return cls(
            name="mhr",
            vertices=vertices,
            faces=arrays.faces,
            joint_names=names,
            parents=parents,
            shape_names=tuple(f"identity_{k}" for k in range(num_betas)),
            keypoint_names=COCO_KEYPOINT_NAMES,
            keypoint_regressor=regressor,
            arrays=arrays,
        )

    def __post_init__(self) -> None:
        self._keypoint_vertices = np.flatnonzero(self.keypoint_regressor.any(axis=0))
        self._keypoint_weights = np.ascontiguousarray(self.keypoint_regressor[:, self._keypoint_vertices])
        self._rest_rotations = _forward_kinematics(self.arrays.parents, *_rest_locals(self.arrays))[0]

    @property
    def skin_weights(self) -> np.ndarray:
        """(N, J) float32 skin weights."""
        return self.arrays.skin.dense(len(self.arrays.joint_names))[:, 1:]

    def pose(
        self, shape: np.ndarray, rotations: np.ndarray, translation: Optional[np.ndarray] = None
    ) -> PosedBody:
        """Shape and pose one body or a batch; see BodyModel.pose. Z up, the body faces -Y.

        The joints that spread a limb's twist follow their parent where their rotation is none.

        Raises:
            ValueError: on wrong shapes or shape parameters outside [0, 1].
        """
        shape, rotations, single = check_pose(shape, rotations, self.shape_names, len(self.joint_names))
        turn = Z_UP_FROM_Y_UP
        angles = np.tile(np.eye(3), (len(rotations), len(self.arrays.joint_names), 1, 1))
        # A rotation in body axes, seen from the joint's own axes at rest, is what its angles make.
        own = self._rest_rotations[:, 1:]
        angles[:, 1:] = np.swapaxes(own, -1, -2) @ turn.T @ rotations @ turn @ own
        translations = np.broadcast_to(self.arrays.offsets, angles.shape[:3])
        vertices, joints = self._shaped(
            (2 * shape - 1) * SHAPE_RANGE, np.zeros((1, 0)), angles, translations, np.ones(angles.shape[:2])
        )
        origin = joints[:, 1:2]
        offset = 0.0 if translation is None else np.asarray(translation, np.float32).reshape(-1, 1, 3)
        vertices, joints = (
            (points - origin) @ turn.T.astype(np.float32) + offset for points in (vertices, joints)
        )
        return self._posed(vertices, joints, single)

    def pose_parameters(
        self, identity: np.ndarray, model_parameters: np.ndarray, expression: Optional[np.ndarray] = None
    ) -> PosedBody:
        """Turn MHR's own parameters, as SAM 3D Body stores them, into vertices in MHR's frame (Y up).

        Args:
            identity: (B, K) or (K,) identity coefficients, K at most 45.
            model_parameters: (B, 204) or (204,) translation, angles in radians and scales;
                `arrays.parameter_names` names them.
            expression: (B, E) or (E,) expression coefficients, E at most 72; None is none.

        Returns:
            A PosedBody, metres; it has a batch axis if any of the parameters has one.

        Raises:
            ValueError: naming the parameter that has a wrong shape or values that are not finite.
        """
        count = self.arrays.parameter_transform.shape[1]
        identity = _coefficients("identity", identity, NUM_IDENTITY)
        expression = _coefficients(
            "expression", np.zeros(0) if expression is None else expression, NUM_EXPRESSION
        )
        parameters = _coefficients("model_parameters", model_parameters, count)
        if parameters.shape[-1] != count:
            raise ValueError(f"model_parameters must be (B, {count}) or ({count},), got {parameters.shape}")
        single = identity.ndim == parameters.ndim == expression.ndim == 1
        identity, expression, parameters = (np.atleast_2d(a) for a in (identity, expression, parameters))
        by_joint = (parameters @ self.arrays.parameter_transform.T).reshape(
            len(parameters), -1, PARAMETERS_PER_JOINT
        )
        angles = Rotation.from_euler("xyz", by_joint[..., 3:6].reshape(-1, 3)).as_matrix()
        vertices, joints = self._shaped(
            identity,
            expression,
            angles.reshape(by_joint.shape[:2] + (3, 3)),
            by_joint[..., :3] + self.arrays.offsets,
            2.0 ** by_joint[..., 6],
        )
        return self._posed(vertices, joints, single)

    def sample_shape(self, rng: np.random.Generator) -> np.ndarray:
        """Draw (S,) float32 shape parameters: standard normal coefficients, cut at 2.5."""
        return sample_normal_shape(rng, len(self.shape_names))

    def _posed(self, vertices: np.ndarray, joints: np.ndarray, single: bool) -> PosedBody:
        keypoints = self._keypoint_weights @ vertices[:, self._keypoint_vertices]
        joints = joints[:, 1:]
        if single:
            return PosedBody(vertices[0], joints[0], keypoints[0])
        return PosedBody(vertices, joints, keypoints)

    def _shaped(
        self,
        identity: np.ndarray,  # (B, K)
        expression: np.ndarray,  # (B, E)
        angles: np.ndarray,  # (B, J, 3, 3)
        translations: np.ndarray,  # (B, J, 3)
        scales: np.ndarray,  # (B, J)
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Vertices (B, N, 3) and joints (B, J, 3) in MHR's frame, metres."""
        arrays = self.arrays
        count = max(len(identity), len(expression), len(angles))
        for name, array in (("identity", identity), ("expression", expression), ("poses", angles)):
            if len(array) not in (1, count):
                raise ValueError(f"{name} has {len(array)} bodies, other parameters {count}")
        given = [identity, expression, angles, translations, scales]
        given = [np.broadcast_to(array, (count,) + array.shape[1:]) for array in given]
        results = []
        for start in range(0, count, _CHUNK):
            who, mood, turned, moved, scaled = (array[start : start + _CHUNK] for array in given)
            surface = arrays.base_shape + np.tensordot(
                who.astype(np.float32), arrays.identity_basis[: who.shape[1]], axes=1
            )
            if mood.any():
                surface = surface + np.tensordot(
                    mood.astype(np.float32), arrays.expression_basis[: mood.shape[1]], axes=1
                )
            surface = surface + pose_correctives(arrays, turned)
            results.append(_skin_chunk(arrays, arrays.prerotations @ turned, moved, scaled, surface))
        vertices, joints = (np.concatenate(parts) for parts in zip(*results))
        return vertices, joints


def pose_correctives(arrays: MhrArrays, angles: np.ndarray) -> Union[np.ndarray, float]:
    """Displacements (B, N, 3) of the surface by the pose, metres; 0.0 where the files have none.

    Args:
        arrays: the asset files.
        angles: (B, J, 3, 3) rotations that the joints' angles make, without the joints' rest rotations.
    """
    if arrays.corrective_basis is None:
        return 0.0
    turned = angles[:, JOINTS_WITHOUT_CORRECTIVES:] - np.eye(3)
    features = np.swapaxes(turned[..., :2], -1, -2).reshape(len(angles), -1)  # first column, second column
    hidden = np.maximum(arrays.corrective_activation @ features.T, 0).T.astype(np.float32)
    return np.tensordot(hidden, arrays.corrective_basis, axes=1)


def _rest_locals(arrays: MhrArrays) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotation, translation and scale of every joint in its parent's frame at rest, a batch of one."""
    return arrays.prerotations[None], arrays.offsets[None], np.ones((1, len(arrays.offsets)))


def _forward_kinematics(
    parents: np.ndarray, rotations: np.ndarray, translations: np.ndarray, scales: np.ndarray
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """World rotations (B, J, 3, 3), positions (B, J, 3), scales (B, J) of joints from those in parents."""
    rotations, translations, scales = (
        np.array(array, np.float64) for array in (rotations, translations, scales)
    )
    for joint in range(1, len(parents)):
        parent = parents[joint]
        step = (rotations[:, parent] @ translations[:, joint, :, None])[..., 0]
        translations[:, joint] = translations[:, parent] + scales[:, parent, None] * step
        rotations[:, joint] = rotations[:, parent] @ rotations[:, joint]
        scales[:, joint] *= scales[:, parent]
    return rotations, translations, scales


def _skin_chunk(
    arrays: MhrArrays,
    rotations: np.ndarray,
    translations: np.ndarray,
    scales: np.ndarray,
    surface: np.ndarray,  # (B, N, 3)
) -> Tuple[np.ndarray, np.ndarray]:
    """Skinned vertices (B, N, 3) and joint positions (B, J, 3), float32, of joints in their parents."""
    rotations, joints, scales = _forward_kinematics(arrays.parents, rotations, translations, scales)
    transforms = rotations * scales[..., None, None] @ arrays.inverse_bind
    transforms[..., 3] += joints
    skin = arrays.skin
    surface = np.ascontiguousarray(np.broadcast_to(surface, (len(joints),) + surface.shape[1:]), np.float32)
    vertices = blend_vertices_fast(
        surface, skin.starts, skin.joints, skin.weights, transforms.astype(np.float32)
    )
    return vertices, joints.astype(np.float32)


def _check_rig(arrays: MhrArrays) -> None:
    """Refuse a rig without the joints that are used by name, or with skin on the world's joint."""
    wanted = ("body_world", "root", *JOINT_KEYPOINTS.values(), "l_eye", "r_eye", "c_head")
    missing = [name for name in wanted if name not in arrays.joint_names]
    if missing or arrays.joint_names[:2] != wanted[:2] or arrays.parents[1] != 0:
        raise ValueError(
            f"{arrays.path.with_name('rig.npz')}: field 'joint_names' is not that of MHR"
            + (
                f": it lacks {', '.join(missing[:5])}"
                if missing
                else ", which starts with body_world and root"
            )
            + f"; obtain the files from {SITE}"
        )
    if (arrays.parents[2:] == 0).any():
        raise ValueError(
            f"{arrays.path.with_name('rig.npz')}: field 'joint_parents' binds more than the root to "
            "'body_world'"
        )
    entries = np.flatnonzero(arrays.skin.joints == 0)
    if len(entries):
        vertex = np.searchsorted(arrays.skin.starts, entries[0], side="right") - 1
        raise ValueError(f"{arrays.path}: field 'skin_indices' binds vertex {vertex} to 'body_world'")


def _coefficients(name: str, values: np.ndarray, limit: int) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim not in (1, 2) or values.shape[-1] > limit:
        raise ValueError(f"{name} must be (B, K) or (K,) with K at most {limit}, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has values that are not finite")
    return values
