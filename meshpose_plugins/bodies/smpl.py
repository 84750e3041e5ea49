"""SMPL, SMPL-H and SMPL-X from the user's own model files, posed by the `smplx` package.

Sources: Loper et al., "SMPL: A Skinned Multi-Person Linear Model" (2015); Romero et al., "Embodied Hands"
(2017); Pavlakos et al., "Expressive Body Capture" (2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple, Union

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from .base import COCO_KEYPOINT_NAMES, SHAPE_RANGE, PosedBody, check_pose, sample_normal_shape
from .rotations import Z_UP_FROM_Y_UP
from .smpl_files import FAMILIES, SmplArrays, read_model_file

_CHUNK = 64  # bodies posed at once, to bound memory
_HAND_JOINTS = tuple(
    f"{finger}{k}" for finger in ("index", "middle", "pinky", "ring", "thumb") for k in (1, 2, 3)
)
_FACE_KEYPOINTS = {
    "nose": "nose",
    "left_eye": "leye",
    "right_eye": "reye",
    "left_ear": "lear",
    "right_ear": "rear",
}


@dataclass(eq=False, repr=False)
class SmplBody:
    """A body of the SMPL family; `pose` speaks BodyModel's axes, `pose_parameters` those of the model.

    Attributes:
        name, vertices, faces, joint_names, parents, shape_names, keypoint_names, keypoint_regressor: as in
            BodyModel; `name` is 'smpl', 'smplh' or 'smplx', a shape parameter of 0.5 is a coefficient of 0,
            0 and 1 are -3 and +3.
        arrays: the model file.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    joint_names: Tuple[str, ...]
    parents: np.ndarray
    shape_names: Tuple[str, ...]
    keypoint_names: Tuple[str, ...]
    keypoint_regressor: np.ndarray
    arrays: SmplArrays

    def __repr__(self) -> str:
        return f"SmplBody(name={self.name!r}, gender={self.gender!r}, file={str(self.arrays.path)!r})"

    @classmethod
    def load(
        cls, name: str, model_path: Union[str, Path], gender: Optional[str] = None, num_betas: int = 10
    ) -> "SmplBody":
        """Read a model file.

        Args:
            name: 'smpl', 'smplh' or 'smplx'.
            model_path: the .npz or .pkl file, or a folder with the published files. Pickles are read without
                executing anything, and without chumpy.
            gender: 'neutral', 'female' or 'male'; None: neutral from a folder, whatever a file is.
            num_betas: number of shape parameters of `pose`.

        Raises:
            ImportError: without the smplx package.
            FileNotFoundError: if there is no such file.
            ValueError: naming file and field, if the file is of another model or gender, or broken.
        """
        _smplx()
        arrays = read_model_file(FAMILIES[name], model_path, gender)
        available = arrays.shape_basis.shape[2]
        if not 1 <= num_betas <= available:
            raise ValueError(
                f"{arrays.path}: field 'shapedirs' has {available} shape coefficients, num_betas={num_betas}"
            )
        return cls(
            name=name,
            vertices=(arrays.template @ Z_UP_FROM_Y_UP.T).astype(np.float32),
            faces=arrays.faces,
            joint_names=joint_names(name),
            parents=arrays.parents,
            shape_names=tuple(f"beta_{k}" for k in range(num_betas)),
            keypoint_names=COCO_KEYPOINT_NAMES,
            keypoint_regressor=_keypoint_regressor(name, arrays),
            arrays=arrays,
        )

    def __post_init__(self) -> None:
        arrays = self.arrays
        self._model = {
            "v_template": torch.from_numpy(arrays.template),
            "posedirs": torch.from_numpy(arrays.pose_basis),
            "J_regressor": torch.from_numpy(arrays.joint_regressor),
            "parents": torch.from_numpy(arrays.parents),
            "lbs_weights": torch.from_numpy(arrays.weights),
        }
        self._keypoint_vertices = np.flatnonzero(self.keypoint_regressor.any(axis=0))
        self._keypoint_weights = np.ascontiguousarray(self.keypoint_regressor[:, self._keypoint_vertices])

    @property
    def gender(self) -> Optional[str]:
        """'neutral', 'female', 'male', or None where the file does not say."""
        return self.arrays.gender

    @property
    def skin_weights(self) -> np.ndarray:
        """(N, J) float32 skin weights."""
        return self.arrays.weights

    def pose(
        self, shape: np.ndarray, rotations: np.ndarray, translation: Optional[np.ndarray] = None
    ) -> PosedBody:
        """Shape and pose one body or a batch; see BodyModel.pose. Z up, the body faces -Y.

        Raises:
            ValueError: on wrong shapes or shape parameters outside [0, 1].
        """
        shape, rotations, single = check_pose(shape, rotations, self.shape_names, len(self.joint_names))
        turn = Z_UP_FROM_Y_UP.astype(np.float32)
        vertices, joints = self._skin(
            (2 * shape - 1) * SHAPE_RANGE, np.zeros((1, 0), np.float32), turn.T @ rotations @ turn
        )
        origin = joints[:, :1]
        offset = 0.0 if translation is None else np.asarray(translation, np.float32).reshape(-1, 1, 3)
        vertices, joints = ((points - origin) @ turn.T + offset for points in (vertices, joints))
        return self._posed(vertices, joints, single)

    def pose_parameters(
        self,
        betas: np.ndarray,
        body_pose: np.ndarray,
        global_orient: Optional[np.ndarray] = None,
        transl: Optional[np.ndarray] = None,
        expression: Optional[np.ndarray] = None,
        hand_mean: bool = False,
        **poses: np.ndarray,
    ) -> PosedBody:
        """Turn parameters, as data sets store them, into vertices in the frame of these parameters.

        Nothing is turned to Z up: parameters in a camera's frame give vertices in that camera's frame.

        Args:
            betas: (B, K) or (K,) shape coefficients, K at most what the file has.
            body_pose: (B, 3 * 23) for SMPL, (B, 3 * 21) for all three (SMPL's hands stay straight then), axis
                and angle in radians; (B, J, 3) and, as rotations, (B, J, 3, 3) are taken too.
            global_orient: (B, 3) or (B, 3, 3) orientation of the root; None is none.
            transl: (B, 3) metres; None is none.
            expression: (B, E) coefficients of SMPL-X.
            hand_mean: add the file's mean hand pose to hand poses in axis and angle, as the smplx package
                does with flat_hand_mean=False.
            **poses: left_hand_pose, right_hand_pose (axis and angle of 15 joints, or fewer numbers:
                coefficients of the file's components), and jaw_pose, leye_pose, reye_pose for SMPL-X; None is
                none.

        Returns:
            A PosedBody, metres; it has a batch axis if `body_pose` has one.

        Raises:
            ValueError: naming the parameter that has a wrong shape, values that are not finite or no place in
                this model.
        """
        betas = _finite("betas", betas)
        single = betas.ndim == 1 and np.asarray(body_pose).ndim == 1
        betas = np.atleast_2d(betas)
        groups = {"body_pose": body_pose, "global_orient": global_orient, **poses}
        turned = self._joint_rotations(groups, hand_mean)
        expression = (
            np.zeros((1, 0)) if expression is None else np.atleast_2d(_finite("expression", expression))
        )
        vertices, joints = self._skin(betas, expression, turned)
        if transl is not None:
            offset = _finite("transl", transl).astype(np.float32).reshape(-1, 1, 3)
            vertices, joints = vertices + offset, joints + offset
        return self._posed(vertices, joints, single)

    def sample_shape(self, rng: np.random.Generator) -> np.ndarray:
        """Draw (S,) float32 shape parameters: standard normal coefficients, cut at 2.5."""
        return sample_normal_shape(rng, len(self.shape_names))

    def _posed(self, vertices: np.ndarray, joints: np.ndarray, single: bool) -> PosedBody:
        keypoints = self._keypoint_weights @ vertices[:, self._keypoint_vertices]
        if single:
            return PosedBody(vertices[0], joints[0], keypoints[0])
        return PosedBody(vertices, joints, keypoints)

    def _skin(
        self, betas: np.ndarray, expression: np.ndarray, rotations: np.ndarray
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Vertices (B, N, 3) and joints (B, J, 3) in the model's axes, its root where the model has it."""
        bases = []
        for name, values, basis in (
            ("betas", betas, self.arrays.shape_basis),
            ("expression", expression, self.arrays.expression_basis),
        ):
            if values.ndim != 2 or values.shape[1] > basis.shape[2]:
                raise ValueError(
                    f"{name} must be (B, K) with K at most {basis.shape[2]} for {self.arrays.path}, "
                    f"got {values.shape}"
                )
            bases.append(basis[:, :, : values.shape[1]])
        count = max(len(betas), len(expression), len(rotations))
        arrays = []
        for name, array in (("betas", betas), ("expression", expression), ("poses", rotations)):
            if len(array) not in (1, count):
                raise ValueError(f"{name} has {len(array)} bodies, other parameters {count}")
            arrays.append(np.repeat(array, count, axis=0) if len(array) != count else array)
        coefficients = np.concatenate(arrays[:2], axis=1).astype(np.float32)
        basis = torch.from_numpy(np.ascontiguousarray(np.concatenate(bases, axis=2)))
        results = []
        with torch.no_grad():
            for start in range(0, count, _CHUNK):
                part = slice(start, start + _CHUNK)
                results.append(
                    _smplx().lbs.lbs(
                        torch.from_numpy(coefficients[part]),
                        torch.from_numpy(np.ascontiguousarray(arrays[2][part], np.float32)),
                        shapedirs=basis,
                        pose2rot=False,
                        **self._model,
                    )
                )
        vertices, joints = (torch.cat(parts).numpy() for parts in zip(*results))
        return vertices, joints

    def _joint_rotations(self, groups: Dict[str, Optional[np.ndarray]], hand_mean: bool) -> np.ndarray:
        """(B, J, 3, 3) rotations of all joints from the poses of groups of joints."""
        layout = pose_layout(self.name)
        unknown = sorted(set(name for name, value in groups.items() if value is not None) - set(layout))
        if unknown:
            raise ValueError(
                f"{self.arrays.path}: '{unknown[0]}' has no place in '{self.name}'; it has {list(layout)}"
            )
        given = {}
        for name, joints in layout.items():
            value = groups.get(name)
            if value is not None:
                value = self._hand_angles(name, _finite(name, value), hand_mean)
                given[name] = _rotations(name, value, joints.stop - joints.start)
        count = max((len(value) for value in given.values()), default=1)
        result = np.tile(np.eye(3, dtype=np.float32), (count, len(self.joint_names), 1, 1))
        for name, value in given.items():
            if len(value) not in (1, count):
                raise ValueError(f"{name} has {len(value)} bodies, other poses {count}")
            start = layout[name].start
            result[:, start : start + value.shape[1]] = value
        return result

    def _hand_angles(self, name: str, value: np.ndarray, hand_mean: bool) -> np.ndarray:
        side = name.split("_")[0]
        if not name.endswith("hand_pose") or value.ndim > 2:
            return value
        if value.shape[-1] < 3 * len(_HAND_JOINTS):
            components = self.arrays.hand_components.get(side)
            if components is None or value.shape[-1] > len(components):
                raise ValueError(
                    f"{name} has {value.shape[-1]} coefficients, but {self.arrays.path} has no field "
                    f"'hands_components{side[0]}' for them; give axis and angle of 15 joints"
                )
            value = value @ components[: value.shape[-1]]
        return value + self.arrays.hand_means[side] if hand_mean and side in self.arrays.hand_means else value


def joint_names(name: str) -> Tuple[str, ...]:
    """Joint names of 'smpl', 'smplh' or 'smplx', in the order of the model files."""
    names = list(_smplx().joint_names.JOINT_NAMES)
    body = names[: names.index("jaw")]
    if name == "smpl":
        return tuple(body + ["left_hand", "right_hand"])
    face = ["jaw", "left_eye_smplhf", "right_eye_smplhf"] if name == "smplx" else []
    return tuple(body + face + [f"{side}_{joint}" for side in ("left", "right") for joint in _HAND_JOINTS])


def pose_layout(name: str) -> Dict[str, slice]:
    """Joints that each pose parameter of a model turns: parameter -> slice of joints."""
    if name == "smpl":
        return {"global_orient": slice(0, 1), "body_pose": slice(1, 24)}
    layout = {"global_orient": slice(0, 1), "body_pose": slice(1, 22)}
    first = 22
    if name == "smplx":
        layout.update(jaw_pose=slice(22, 23), leye_pose=slice(23, 24), reye_pose=slice(24, 25))
        first = 25
    layout["left_hand_pose"] = slice(first, first + len(_HAND_JOINTS))
    layout["right_hand_pose"] = slice(first + len(_HAND_JOINTS), first + 2 * len(_HAND_JOINTS))
    return layout


def _rotations(name: str, value: np.ndarray, num_joints: int) -> np.ndarray:
    """(B, K, 3, 3) rotations of a parameter's joints; the last two of SMPL's body may be left out."""
    allowed = (num_joints, 21) if num_joints == 23 else (num_joints,)
    if value.shape[-2:] == (3, 3) and value.ndim >= 3:
        rotations = value.reshape(-1, 1 if value.ndim == 3 and num_joints == 1 else value.shape[-3], 3, 3)
    elif value.size % 3 == 0 and value.ndim <= 3:
        joints = value.shape[-2] if value.ndim == 3 else value.shape[-1] // 3
        rotations = Rotation.from_rotvec(value.reshape(-1, 3)).as_matrix().reshape(-1, max(joints, 1), 3, 3)
    else:
        rotations = np.zeros((0, 0, 3, 3))
    if rotations.shape[1] not in allowed:
        raise ValueError(
            f"{name} must hold axis and angle of {num_joints} joints: (B, {3 * num_joints}), "
            f"(B, {num_joints}, 3), or rotations (B, {num_joints}, 3, 3); got {value.shape}"
        )
    return rotations.astype(np.float32)


def _finite(name: str, value: np.ndarray) -> np.ndarray:
    value = np.asarray(value, np.float64)
    if not np.isfinite(value).all():
        raise ValueError(f"{name} has values that are not finite")
    return value


def _keypoint_regressor(name: str, arrays: SmplArrays) -> np.ndarray:
    """(17, N) COCO keypoints: face vertices that smplx names, and the regressed joints."""
    vertex_of = _smplx().vertex_ids.vertex_ids["smplx" if name == "smplx" else "smplh"]
    names = joint_names(name)
    regressor = np.zeros((len(COCO_KEYPOINT_NAMES), len(arrays.template)), np.float32)
    for row, keypoint in enumerate(COCO_KEYPOINT_NAMES):
        if keypoint in _FACE_KEYPOINTS:
            regressor[row, vertex_of[_FACE_KEYPOINTS[keypoint]]] = 1
        else:
            regressor[row] = arrays.joint_regressor[names.index(keypoint)]
    return regressor


def _smplx():
    """The smplx package; ImportError says how to install it."""
    try:
        import smplx
        import smplx.joint_names
        import smplx.lbs
        import smplx.vertex_ids
    except ImportError as error:
        raise ImportError(
            f"bodies of the SMPL family need the smplx package ({error}); "
            "install it with: pip install 'meshpose_plugins[smplx]'"
        ) from error
    return smplx
