"""The asset files of MHR as plain arrays: `rig.npz` and `lod0.npz` to `lod6.npz`, read and checked.

Format: MHR, the Momentum Human Rig (Ferguson et al. 2025; code and assets Apache-2.0), its converted assets of
schema version 1. The same release also has a compiled network and FBX files, which are not read here: nothing
in these files is executed.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple, Union

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial.transform import Rotation

from .skinning import SkinWeights

SCHEMA_VERSION = 1
NUM_IDENTITY, NUM_EXPRESSION = 45, 72
#: Parameters of a joint: translation along x, y, z, angles about x, y, z, and the logarithm to base 2 of its
#: scale.
PARAMETERS_PER_JOINT = 7
#: Joints that the pose correctives do not look at: the world's and the root.
JOINTS_WITHOUT_CORRECTIVES = 2
DEFAULT_LOD = 1
SITE = (
    "https://github.com/facebookresearch/MHR (Apache-2.0): its mhr-download-assets --lod 1 fetches them, its "
    "scripts/convert_assets.py makes them of an older release"
)
_METRES = 0.01  # the files are in centimetres
_NO_WEIGHT = 1e-5  # skin weights that MHR itself leaves out


@dataclass
class MhrArrays:
    """What the two files hold, in metres, Y up, J joints with the world's first.

    Attributes:
        path: the file of the surface.
        joint_names: J names.
        parents: (J,) int64, -1 for the first.
        offsets: (J, 3) float64 position of each joint in its parent's frame.
        prerotations: (J, 3, 3) float64 rotation of each joint at rest in its parent's frame.
        inverse_bind: (J, 3, 4) float64, from a vertex's place at rest to the joint's frame.
        parameter_transform: (7 J, K) float64 joint parameters by the K = 204 model parameters.
        parameter_names: K names.
        base_shape: (N, 3) float32 vertices.
        faces: (M, 3) int64.
        identity_basis, expression_basis: (45, N, 3) and (72, N, 3) float32.
        skin: skin weights.
        corrective_activation: (H, 6 (J - 2)) sparse float32, or None where the files have no correctives.
        corrective_basis: (H, N, 3) float32, or None.
    """

    path: Path
    joint_names: Tuple[str, ...]
    parents: np.ndarray
    offsets: np.ndarray
    prerotations: np.ndarray
    inverse_bind: np.ndarray
    parameter_transform: np.ndarray
    parameter_names: Tuple[str, ...]
    base_shape: np.ndarray
    faces: np.ndarray
    identity_basis: np.ndarray
    expression_basis: np.ndarray
    skin: SkinWeights
    corrective_activation: Optional[csr_matrix]
    corrective_basis: Optional[np.ndarray]


def find_asset_files(path: Union[str, Path]) -> Tuple[Path, Path]:
    """Paths of the rig's and of the surface's file.

    Args:
        path: a folder with `rig.npz` and `lod1.npz` (or `assets/` below it), or the file of one level of
            detail, beside which `rig.npz` lies.

    Raises:
        FileNotFoundError: if one is missing; it says which, and where to get it.
    """
    path = Path(path).expanduser()
    folder = path.parent if path.suffix in (".npz", ".pt", ".fbx") else path
    surface = path if path.suffix == ".npz" else folder / f"lod{DEFAULT_LOD}.npz"
    if not surface.is_file() and (path / "assets" / surface.name).is_file():
        surface = path / "assets" / surface.name
    rig = surface.with_name("rig.npz")
    for file in (surface, rig):
        if not file.is_file():
            raise FileNotFoundError(
                f"{file}: no such file of MHR's converted assets{_found_instead(file.parent)}; obtain them "
                f"from {SITE}"
            )
    return rig, surface


def _found_instead(folder: Path) -> str:
    """What there is in a folder without the right file: other levels of detail, or the older format."""
    levels = sorted(file.name for file in folder.glob("lod[0-9].npz"))
    if levels:
        return f" (there are {', '.join(levels)}: give the path of one)"
    older = sorted(file.name for pattern in ("mhr_model.pt", "lod*.fbx") for file in folder.glob(pattern))
    return f" ({', '.join(older)} beside it is the older format)" if older else ""


def read_assets(path: Union[str, Path]) -> MhrArrays:
    """Read and check the two files.

    Args:
        path: see :func:`find_asset_files`.

    Raises:
        FileNotFoundError: if there are no such files.
        ValueError: naming the file and the field that is missing, misshapen, not finite or of another
            version.
    """
    rig_path, surface_path = find_asset_files(path)
    with _Fields(rig_path) as rig, _Fields(surface_path) as surface:
        level = re.fullmatch(r"lod(\d)", surface_path.stem)
        if level and int(surface.get("lod", ())) != int(level[1]):
            raise ValueError(
                f"{surface_path}: field 'lod' is {int(surface.get('lod', ()))}, its name says {level[1]}"
            )
        names = rig.names("joint_names")
        joints, parents = len(names), rig.get("joint_parents", (len(names),)).astype(np.int64)
        if parents[0] != -1 or not ((parents[1:] >= 0) & (parents[1:] < np.arange(1, joints))).all():
            raise ValueError(f"{rig_path}: field 'joint_parents' is no tree in which parents come first")
        parameter_names, transform = _parameters(rig, joints)
        base = surface.get("base_shape", (None, 3)).astype(np.float32) * np.float32(_METRES)
        bases = surface.get("shape_vectors", (NUM_IDENTITY + NUM_EXPRESSION, len(base), 3)).astype(np.float32)
        bases *= np.float32(_METRES)
        activation, corrective_basis = _correctives(rig, surface, joints, len(base))
        return MhrArrays(
            path=surface_path,
            joint_names=names,
            parents=parents,
            offsets=rig.get("joint_offsets", (joints, 3)).astype(np.float64) * _METRES,
            prerotations=_rotations(rig, "joint_prerotations", rig.get("joint_prerotations", (joints, 4))),
            inverse_bind=_inverse_bind(rig, joints),
            parameter_transform=transform,
            parameter_names=parameter_names,
            base_shape=base,
            faces=_indices(surface, "faces", (None, 3), len(base)),
            identity_basis=bases[:NUM_IDENTITY],
            expression_basis=bases[NUM_IDENTITY:],
            skin=_skin(surface, len(base), joints),
            corrective_activation=activation,
            corrective_basis=corrective_basis,
        )


class _Fields:
    """The fields of one file, read and checked when they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: no readable .npz file ({error})") from None
        version = int(self.get("schema_version", ()))
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"{path}: field 'schema_version' is {version}, this release reads {SCHEMA_VERSION}; obtain "
                f"files from {SITE}"
            )

    def __enter__(self) -> "_Fields":
        return self

    def __exit__(self, *_) -> None:
        self.file.close()

    def __contains__(self, name: str) -> bool:
        return name in self.file.files

    def read(self, name: str) -> np.ndarray:
        if name not in self:
            raise ValueError(
                f"{self.path}: field '{name}' is missing: no file of MHR's converted assets (it has "
                f"{', '.join(sorted(self.file.files)[:12])}); obtain them from {SITE}"
            )
        try:
            return self.file[name]
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{self.path}: field '{name}' cannot be read ({error})") from None

    def get(self, name: str, shape: Tuple[Optional[int], ...]) -> np.ndarray:
        """One field of finite numbers and a given shape (None in it: any size)."""
        array = self.read(name)
        if array.ndim != len(shape) or any(b not in (None, a) for a, b in zip(array.shape, shape)):
            wanted = " x ".join("any" if size is None else str(size) for size in shape) or "a single number"
            raise ValueError(f"{self.path}: field '{name}' has shape {array.shape}, expected {wanted}")
        if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            raise ValueError(f"{self.path}: field '{name}' has values that are no finite numbers")
        return array

    def names(self, name: str) -> Tuple[str, ...]:
        array = self.read(name)
        if array.ndim != 1 or array.dtype.kind != "U" or array.size == 0:
            raise ValueError(
                f"{self.path}: field '{name}' must be a list of names, is {array.dtype} {array.shape}"
            )
        return tuple(array.tolist())


def _parameters(rig: _Fields, joints: int) -> Tuple[Tuple[str, ...], np.ndarray]:
    """Names and transform of the model parameters; the blend shapes' columns after them move no joint."""
    names = rig.names("parameter_names")
    transform = rig.get("parameter_transform", (PARAMETERS_PER_JOINT * joints, len(names))).astype(np.float64)
    own = len(names) - NUM_IDENTITY - NUM_EXPRESSION
    if own <= 0 or transform[:, own:].any():
        raise ValueError(
            f"{rig.path}: field 'parameter_transform' must end in {NUM_IDENTITY + NUM_EXPRESSION} columns of "
            "zeros, those of the blend shapes"
        )
    transform = transform.reshape(joints, PARAMETERS_PER_JOINT, -1)
    transform[:, :3] *= _METRES
    return names[:own], transform.reshape(joints * PARAMETERS_PER_JOINT, -1)[:, :own]


def _rotations(fields: _Fields, name: str, values: np.ndarray) -> np.ndarray:
    """(J, 3, 3) rotations of unit quaternions (x, y, z, w)."""
    values = values.astype(np.float64)
    norms = np.linalg.norm(values, axis=1)
    bad = np.flatnonzero(np.abs(norms - 1) > 1e-2)
    if len(bad):
        raise ValueError(
            f"{fields.path}: field '{name}' of joint {bad[0]} is no rotation: its quaternion has length "
            f"{norms[bad[0]]:.3f}"
        )
    return Rotation.from_quat(values).as_matrix()


def _inverse_bind(rig: _Fields, joints: int) -> np.ndarray:
    """(J, 3, 4) of translations, quaternions and scales."""
    bind = rig.get("inverse_bind_pose", (joints, 8)).astype(np.float64)
    linear = _rotations(rig, "inverse_bind_pose", bind[:, 3:7]) * bind[:, 7, None, None]
    return np.concatenate([linear, bind[:, :3, None] * _METRES], axis=-1)


def _skin(surface: _Fields, vertices: int, joints: int) -> SkinWeights:
    """The skin as compressed rows, without the entries that weigh nothing."""
    indices = _indices(surface, "skin_indices", (vertices, None), joints)
    weights = surface.get("skin_weights", indices.shape).astype(np.float32)
    if (weights < 0).any():
        raise ValueError(
            f"{surface.path}: field 'skin_weights' has negative values, {weights.min():.3g} at least"
        )
    weights = np.where(weights > _NO_WEIGHT, weights, 0)
    sums = weights.sum(axis=1, keepdims=True)
    bad = np.flatnonzero(np.abs(sums[:, 0] - 1) > 1e-2)
    if len(bad):
        raise ValueError(
            f"{surface.path}: field 'skin_weights' of vertex {bad[0]} sums to {sums[bad[0], 0]:.3f}, not to 1"
        )
    used = weights > 0
    starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    return SkinWeights(starts, indices[used], (weights / sums)[used])


def _indices(fields: _Fields, name: str, shape: Tuple[Optional[int], ...], limit: int) -> np.ndarray:
    array = fields.get(name, shape).astype(np.int64)
    if array.size == 0 or array.min() < 0 or array.max() >= limit:
        raise ValueError(f"{fields.path}: field '{name}' refers outside 0..{limit - 1}")
    return array


def _correctives(
    rig: _Fields, surface: _Fields, joints: int, vertices: int
) -> Tuple[Optional[csr_matrix], Optional[np.ndarray]]:
    """Both layers of the pose correctives; the lowest levels of detail have none."""
    if "corrective_blendshapes" not in surface:
        return None, None
    basis = surface.get("corrective_blendshapes", (None, vertices, 3)).astype(np.float32, copy=False)
    basis *= np.float32(_METRES)  # 0.7 GB at level 1: in place
    shape = (len(basis), 6 * (joints - JOINTS_WITHOUT_CORRECTIVES))
    values = rig.get("0.sparse_weight", (None,)).astype(np.float32)
    entries: Dict[int, np.ndarray] = dict(
        enumerate(rig.get("0.sparse_indices", (2, len(values))).astype(np.int64))
    )
    for axis, size in enumerate(shape):
        if len(values) and (entries[axis].min() < 0 or entries[axis].max() >= size):
            raise ValueError(f"{rig.path}: field '0.sparse_indices' refers outside {shape[0]} x {shape[1]}")
    return csr_matrix((values, (entries[0], entries[1])), shape=shape), basis
