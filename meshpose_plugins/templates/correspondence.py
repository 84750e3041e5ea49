"""Where the surface of one body lies on that of another: how annotations of one supervise the template of the
other."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from .charts import DensePoseCharts, load_densepose_charts
from .files import write_arrays
from .template import BodySurface, MeshTemplate

FORMAT_VERSION = 1
_ASSETS = Path(__file__).parent / 'assets' / 'correspondences'


@dataclass(frozen=True)
class SurfaceCorrespondence:
    """The point of a target surface that stands for each vertex of a source surface.

    Attributes:
        source, target: Names of the bodies.
        faces: (N, 3) vertex ids of the target's triangle, for each of the N source vertices.
        barycentrics: (N, 3) float32 place within it.
        num_target_vertices: Vertices of the target's body.
        errors: What was measured when it was built, by name; see :func:`measure_correspondence`.
    """

    source: str
    target: str
    faces: np.ndarray
    barycentrics: np.ndarray
    num_target_vertices: int
    errors: dict[str, float]

    def points(self, target: BodySurface) -> np.ndarray:
        """(N, 3) positions on the target's rest surface."""
        return np.einsum('nk,nkd->nd', self.barycentrics, target.vertices[self.faces])

    def carry(
        self, vertex_ids: np.ndarray, barycentrics: np.ndarray, target: BodySurface
    ) -> tuple[np.ndarray, np.ndarray]:
        """Carry surface points over.

        The corners of a point's triangle are carried; the point between them goes to the nearest place of the parts
        on which the corners lie, so that it never jumps to another limb.

        Args:
            vertex_ids: (P, 3) source vertices of each point's triangle.
            barycentrics: (P, 3) place within it.
            target: The target's surface.

        Returns:
            face ids (P,) of the target surface and barycentrics (P, 3).
        """
        if len(target.vertices) != self.num_target_vertices:
            raise ValueError(
                f"the correspondence leads to body '{self.target}' of {self.num_target_vertices} vertices, the "
                f'target surface has {len(target.vertices)}'
            )
        points = np.einsum('pk,pkd->pd', barycentrics, self.points(target)[vertex_ids])
        parts = self._parts(target)[vertex_ids]  # (P, 3)
        best = np.full(len(points), np.inf)
        faces, places = np.zeros(len(points), np.int64), np.zeros((len(points), 3))
        for corner in range(3):
            found, place = target.nearest(points, parts[:, corner])
            distance = np.linalg.norm(target.points(found, place) - points, axis=1)
            nearer = distance < best - 1e-9
            best[nearer], faces[nearer], places[nearer] = distance[nearer], found[nearer], place[nearer]
        return faces, places

    def _parts(self, target: BodySurface) -> np.ndarray:
        """(N,) DensePose part of the target triangle of each source vertex."""
        index = {tuple(face): part for face, part in zip(target.faces.tolist(), target.face_parts.tolist())}
        try:
            return np.array([index[tuple(face)] for face in self.faces.tolist()])
        except KeyError:
            raise ValueError(f"the correspondence's triangles are not those of body '{self.target}'") from None


@dataclass(frozen=True)
class CarriedCharts:
    """Finds chart coordinates of one body on the template of another.

    Attributes:
        charts: The charts on which the annotations lie.
        correspondence: From the charts' body to the template's.
        template: The template.
    """

    charts: DensePoseCharts
    correspondence: SurfaceCorrespondence
    template: MeshTemplate

    def __post_init__(self) -> None:
        target, body = self.correspondence.target, self.template.body
        if target != body:
            raise ValueError(
                f"the correspondence leads to body '{target}', but template '{self.template.name}' lies on "
                f"'{body}'; build the file for '{body}' with tools/build_correspondence.py"
            )

    @classmethod
    def load(
        cls, correspondence: str | os.PathLike, template: MeshTemplate, charts: str | os.PathLike | None = None
    ) -> CarriedCharts:
        """Load the correspondence, and the charts of SMPL that it starts from; errors as of those readers."""
        return cls(load_densepose_charts(charts), load_correspondence(correspondence), template)

    def digest(self) -> str:
        """Short text that differs for other charts or another correspondence."""
        result = hashlib.blake2b(digest_size=16)
        for part in (self.charts, self.correspondence):
            for name in ('faces', 'face_parts', 'face_uv', 'barycentrics'):
                result.update(np.ascontiguousarray(getattr(part, name, 0)).tobytes())
        return result.hexdigest()

    def locate_iuv(self, i: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the template's points for chart coordinates; like :meth:`MeshTemplate.locate_iuv`."""
        ids, barycentrics, _ = self.charts.locate_iuv(i, u, v)
        faces, places = self.template.locate(
            *self.correspondence.carry(ids, barycentrics, self.template.surface)
        )
        return self.template.faces[faces], places


def builtin_correspondences() -> list[str]:
    """Names of the correspondences that the package ships."""
    return sorted(path.stem for path in _ASSETS.glob('*.npz'))


def load_correspondence(name: str | os.PathLike) -> SurfaceCorrespondence:
    """Load a correspondence by its built-in name ('smpl_to_anny') or its file.

    Raises:
        FileNotFoundError: If there is neither.
        ValueError: If the file is no correspondence, or of another version.
    """
    if isinstance(name, str) and name in builtin_correspondences():
        return _read(_ASSETS / f'{name}.npz')
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(
            f"no correspondence '{name}': neither a built-in one ({', '.join(builtin_correspondences())}) nor a "
            'file; tools/build_correspondence.py makes such files'
        )
    return _read(path.resolve())


def save_correspondence(correspondence: SurfaceCorrespondence, path: str | os.PathLike) -> None:
    """Write a correspondence file under a temporary name and rename it."""
    errors = correspondence.errors
    write_arrays(
        path,
        {
            'correspondence_version': np.array(FORMAT_VERSION),
            'source': np.array(correspondence.source),
            'target': np.array(correspondence.target),
            'faces': correspondence.faces.astype(np.int32),
            'barycentrics': correspondence.barycentrics[:, :2].astype(np.float16),
            'num_target_vertices': np.array(correspondence.num_target_vertices),
            'error_names': np.array(list(errors)),
            'error_values': np.array(list(errors.values()), np.float32),
        },
    )


@lru_cache(maxsize=8)
def _read(path: Path) -> SurfaceCorrespondence:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f'{path} is no correspondence file: {error}') from error
    version = int(arrays.get('correspondence_version', 0))
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path}: field 'correspondence_version' is {version}, this library reads {FORMAT_VERSION}; build the "
            'file again with tools/build_correspondence.py'
        )
    try:
        first = arrays['barycentrics'].astype(np.float32)
        return SurfaceCorrespondence(
            source=str(arrays['source']),
            target=str(arrays['target']),
            faces=arrays['faces'].astype(np.int64),
            barycentrics=np.concatenate([first, 1 - first.sum(axis=1, keepdims=True)], axis=1),
            num_target_vertices=int(arrays['num_target_vertices']),
            errors=dict(zip(arrays['error_names'].tolist(), arrays['error_values'].tolist())),
        )
    except KeyError as error:
        raise ValueError(f'{path} is no correspondence file: it lacks {error}') from None
