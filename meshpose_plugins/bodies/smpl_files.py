"""Model files of the SMPL family: which they are, where they come from, and their arrays, read safely.

Formats: the published files of SMPL (Loper et al. 2015), SMPL-H / MANO (Romero et al. 2017) and SMPL-X
(Pavlakos et al. 2019). The files are the user's own; none is part of this package.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np

from .safe_pickle import as_array, load_arrays, read_pickle

GENDERS = ("neutral", "female", "male")
#: Coefficients before the first one of the expression, in files with that many and in older ones.
_SHAPES_IN_FULL_FILES, _SHAPES_IN_OLD_FILES = 300, 10


@dataclass(frozen=True)
class Family:
    """One model of the family.

    Attributes:
        name: what `load_body` calls it.
        title: what its publishers call it.
        num_vertices, num_joints: sizes by which a file is told.
        joints: names of the joints that have poses of their own, by parameter, in the file's order.
        files: patterns of file names below a folder, with {gender} and its first letter {g}.
        site: where it is obtained.
    """

    name: str
    title: str
    num_vertices: int
    num_joints: int
    files: Tuple[str, ...]
    site: str


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "smpl",
            "SMPL",
            6890,
            24,
            ("SMPL_{GENDER}", "basicmodel_{g}_lbs_10_207_0_v*", "basicmodel_{gender}_lbs_10_207_0_v*"),
            "https://smpl.is.tue.mpg.de (SMPL_python_v.1.1.0; the neutral one also at "
            "https://smplify.is.tue.mpg.de)",
        ),
        Family("smplh", "SMPL-H", 6890, 52, ("SMPLH_{GENDER}", "{gender}/model"), "https://mano.is.tue.mpg.de"),
        Family("smplx", "SMPL-X", 10475, 55, ("SMPLX_{GENDER}",), "https://smpl-x.is.tue.mpg.de"),
    )
}
#: Other models with the same fields, by vertices and joints, so that a mistaken file can be named.
_OTHER_MODELS = {(778, 16): "MANO (a hand)", (5023, 5): "FLAME (a head)"}


@dataclass
class SmplArrays:
    """What a model file holds, as arrays.

    Attributes:
        path: the file.
        gender: 'neutral', 'female', 'male', or None where neither the file nor its name says.
        template: (N, 3) float32 rest vertices, metres, Y up.
        faces: (M, 3) int64.
        shape_basis: (N, 3, S) float32 displacements by one unit of each shape coefficient.
        expression_basis: (N, 3, E) float32, E = 0 but for SMPL-X.
        pose_basis: (P, 3 N) float32 displacements by the entries of the rotations, P = 9 (J - 1).
        joint_regressor: (J, N) float32.
        weights: (N, J) float32 skin weights.
        parents: (J,) int64, -1 for the root.
        hand_means, hand_components: for 'left' and 'right', (45,) and (45, 45), where the file has them.
    """

    path: Path
    gender: Optional[str]
    template: np.ndarray
    faces: np.ndarray
    shape_basis: np.ndarray
    expression_basis: np.ndarray
    pose_basis: np.ndarray
    joint_regressor: np.ndarray
    weights: np.ndarray
    parents: np.ndarray
    hand_means: Dict[str, np.ndarray]
    hand_components: Dict[str, np.ndarray]


def find_model_file(family: Family, path: Union[str, Path], gender: Optional[str] = None) -> Path:
    """The model file of a family and gender: the file itself, or the one in a folder.

    Args:
        family: one of FAMILIES.
        path: an .npz or .pkl file, or a folder with files named as they are published.
        gender: one of GENDERS; None takes 'neutral' from a folder and whatever a file is.

    Raises:
        FileNotFoundError: if there is no such file; it says which names were looked for, and where to get one.
        ValueError: on an unknown gender.
    """
    if gender is not None and gender not in GENDERS:
        raise ValueError(f"gender must be one of {', '.join(GENDERS)}, got {gender!r}")
    path = Path(path).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path}: no such {family.title} model file or folder; obtain one from {family.site}"
        )
    wanted = gender or "neutral"
    patterns = [
        pattern.format(GENDER=wanted.upper(), gender=wanted, g=wanted[0]) + ending
        for pattern in family.files
        for ending in (".npz", ".pkl")
    ]
    for folder in (path, path / family.name, path / "models"):
        for pattern in patterns:
            named = re.compile(re.escape(pattern).replace(r"\*", ".*") + "$", re.IGNORECASE)
            found = [
                file
                for file in sorted(folder.glob("**/*" if "/" in pattern else "*"))
                if file.is_file() and named.search(file.relative_to(folder).as_posix())
            ]
            if found:
                return found[0]
    raise FileNotFoundError(
        f"{path}: no {wanted} {family.title} model in this folder (looked for {', '.join(patterns)}); "
        f"obtain it from {family.site}, or give the path of the file"
    )


def read_model_file(family: Family, path: Union[str, Path], gender: Optional[str] = None) -> SmplArrays:
    """Read and check one model file.

    Args:
        family: the model that it must be.
        path: an .npz or .pkl file, or a folder; see :func:`find_model_file`.
        gender: the gender that it must have, None for any.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file and the field, if it is another model, of another gender, lacks a field, or
            holds anything but arrays.
    """
    path = find_model_file(family, path, gender)
    fields = _Fields(path, family)
    template = fields.get("v_template")
    parents = fields.get("kintree_table").astype(np.int64)
    _check_model(family, path, template, parents)
    found = _gender(path, fields)
    if gender is not None and found is not None and found != gender:
        raise ValueError(
            f"{path}: field 'gender' is '{found}', asked for was '{gender}'; give the {gender} file "
            f"(from {family.site}), or gender='{found}'"
        )
    num, joints = family.num_vertices, family.num_joints
    parents = np.where(np.arange(joints) == 0, -1, parents[0])
    if not ((parents[1:] >= 0) & (parents[1:] < np.arange(1, joints))).all():
        raise ValueError(f"{path}: field 'kintree_table' is no tree in which parents come first")
    pose_basis = fields.get("posedirs", (num, 3, 9 * (joints - 1)))
    shape, expression = _split_shapes(family, fields.get("shapedirs", (num, 3, None)))
    faces = fields.get("f", (None, 3)).astype(np.int64)
    if len(faces) == 0 or faces.min() < 0 or faces.max() >= num:
        raise ValueError(f"{path}: field 'f' refers to vertices outside 0..{num - 1}")
    return SmplArrays(
        path=path,
        gender=found,
        template=template.astype(np.float32),
        faces=faces,
        shape_basis=shape.astype(np.float32),
        expression_basis=expression.astype(np.float32),
        pose_basis=np.ascontiguousarray(pose_basis.reshape(3 * num, -1).T, np.float32),
        joint_regressor=fields.get("J_regressor", (joints, num)).astype(np.float32),
        weights=fields.get("weights", (num, joints)).astype(np.float32),
        parents=parents,
        hand_means={
            side: fields.get(f"hands_mean{side[0]}", (45,)).astype(np.float32)
            for side in ("left", "right")
            if f"hands_mean{side[0]}" in fields
        },
        hand_components={
            side: fields.get(f"hands_components{side[0]}", (None, 45)).astype(np.float32)
            for side in ("left", "right")
            if f"hands_components{side[0]}" in fields
        },
    )


class _Fields:
    """The fields of one file, turned into arrays when they are asked for."""

    def __init__(self, path: Path, family: Family) -> None:
        self.path, self.family = path, family
        if path.suffix == ".npz":
            self.values = read_npz(path)
        elif path.suffix == ".pkl":
            self.values = load_arrays(path)
        else:
            raise ValueError(f"{path}: a model file ends in .npz or .pkl, not in '{path.suffix}'")

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str, shape: Optional[Tuple[Optional[int], ...]] = None) -> np.ndarray:
        """One field as finite numbers of a given shape (None in it: any size)."""
        if name not in self.values:
            raise ValueError(
                f"{self.path}: field '{name}' is missing: no {self.family.title} model file (it has "
                f"{', '.join(sorted(self.values)[:12])}); obtain one from {self.family.site}"
            )
        array = as_array(self.values[name], f"{self.path}: field '{name}'")
        if shape is not None and (
            array.ndim != len(shape) or any(b not in (None, a) for a, b in zip(array.shape, shape))
        ):
            wanted = " x ".join("any" if size is None else str(size) for size in shape)
            raise ValueError(
                f"{self.path}: field '{name}' has shape {array.shape}, expected {wanted} of a "
                f"{self.family.title} model; obtain one from {self.family.site}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{self.path}: field '{name}' has values that are not finite")
        return array


def read_npz(path: Path) -> Dict[str, Any]:
    """Members of an .npz file; those that are pickles within it are read by the safe unpickler."""
    values: Dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                name = member[:-4] if member.endswith(".npy") else member
                with archive.open(member) as file:
                    values[name] = _read_npy(file, f"{path}: field '{name}'")
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f"{path}: no readable .npz file ({error})") from None
    return values


def _read_npy(file: Any, where: str) -> Any:
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = read_header(file)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{where}: no readable array ({error})") from None
    if dtype.hasobject:
        return read_pickle(file, where)
    count = int(np.prod(shape, dtype=np.int64))
    data = file.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise ValueError(f"{where}: the file ends before the array does")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")


def _check_model(family: Family, path: Path, template: np.ndarray, parents: np.ndarray) -> None:
    sizes = (template.shape[0] if template.ndim == 2 else -1, parents.shape[1] if parents.ndim == 2 else -1)
    if sizes == (family.num_vertices, family.num_joints) and template.shape[1] == 3:
        return
    known: Dict[Tuple[int, int], str] = dict(_OTHER_MODELS)
    known.update({(f.num_vertices, f.num_joints): f"{f.title} (body '{f.name}')" for f in FAMILIES.values()})
    is_what = f"this is {known[sizes]}" if sizes in known else "no model that is known here"
    raise ValueError(
        f"{path}: fields 'v_template' and 'kintree_table' have {sizes[0]} vertices and {sizes[1]} joints: "
        f"{is_what}; {family.title} has {family.num_vertices} and {family.num_joints}; obtain it from "
        f"{family.site}"
    )


def _gender(path: Path, fields: _Fields) -> Optional[str]:
    """Gender by the file's own field, or by the words of its name and folder."""
    words: List[str] = []
    if "gender" in fields:
        words.append(str(np.asarray(fields.values["gender"])).lower())
    words += re.split(r"[^a-z]+", path.stem.lower()) + [path.parent.name.lower()]
    letters = {gender[0]: gender for gender in GENDERS}
    for word in words:
        if word in GENDERS:
            return word
        if word in letters:
            return letters[word]
    return None


def _split_shapes(family: Family, basis: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Bases of the shape and, for SMPL-X, of the expression, which follows it in the file."""
    if family.name != "smplx":
        return basis, basis[:, :, :0]
    first = _SHAPES_IN_FULL_FILES if basis.shape[2] >= _SHAPES_IN_FULL_FILES else _SHAPES_IN_OLD_FILES
    return basis[:, :, :first], basis[:, :, first:]
