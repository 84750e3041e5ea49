"""From body model parameters to the library's own files: a COCO-style JSON and an .npz of meshes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from rich.progress import track

from meshpose_plugins.data.files import write_npz
from meshpose_plugins.data.meshes import MESHES_VERSION
from meshpose_plugins.data.parametric.people import ParametricPeople
from meshpose_plugins.data.parametric.placement import place
from meshpose_plugins.data.report import ReadReport
from meshpose_plugins.data.synthetic.writer import ANNOTATIONS, MESHES
from meshpose_plugins.files import write_atomically
from meshpose_plugins.rendering import Raster, vertex_visibility
from meshpose_plugins.templates.correspondence import load_correspondence
from meshpose_plugins.templates.projection import TriangleFinder

if TYPE_CHECKING:
    from meshpose_plugins.bodies.smpl import SmplBody
    from meshpose_plugins.templates import MeshTemplate

_CHUNK = 64  # people posed at once, to bound memory
#: A box of fewer px on a side shows nobody.
_SMALLEST_BOX = 2.0


def convert_people(
    people: ParametricPeople,
    template: MeshTemplate,
    load_body: Callable[[str], SmplBody],
    out: str | Path,
    image_root: str | Path | None = None,
    focal: float | None = None,
    correspondence: str | Path | None = None,
    progress: bool = True,
) -> ReadReport:
    """Pose all people, project them and write ``annotations.json`` and ``meshes.npz``.

    A vertex counts as visible where it is in the image and the person's own body does not hide it; other
    people are not looked at. People that cannot be used are counted in the report.

    Args:
        people: see :func:`meshpose_plugins.data.parametric.read_people`.
        template: the template.
        load_body: gives the body of a gender ('neutral', 'female', 'male').
        out: folder to write to.
        image_root: folder of the images, to read sizes that the file lacks and to leave out people whose
            image is missing; None trusts the file.
        focal: focal length in px for people whose file names no camera; None places these by 2-D joints.
        correspondence: for a template on another body, name or file of the correspondence from the people's
            body to it, such as 'smpl_to_anny'.
        progress: show a progress bar.

    Returns:
        What was converted and left out.

    Raises:
        ValueError: the template lies on another body and no correspondence leads to it, or nobody is left.
    """
    corners = _Corners(people, template, correspondence)
    report = ReadReport(people.source, {'people in the file': len(people)})
    converter = _Converter(people, template, corners, load_body, image_root, focal, report)
    results = []
    for chunk in track(converter.chunks(), 'converting', disable=not progress):
        results += converter.convert(chunk)
    if not results:
        raise ValueError(f'{report.line()}: nobody is left to convert')
    results.sort(key=lambda result: result['row'])
    _write(Path(out), people, template, results)
    report.read.update({'people converted': len(results),
                        'images': len({people.image_paths[result['row']] for result in results})})
    return report


class _Corners:
    """The template's vertices as places on the people's body: three of its vertices each, and weights."""

    def __init__(self, people: ParametricPeople, template: MeshTemplate, correspondence) -> None:
        self.template, self.carried = template, None
        if template.body == people.body:
            return
        found = None if correspondence is None else load_correspondence(correspondence)
        if found is None or (found.source, found.target) != (people.body, template.body):
            raise ValueError(
                f"{people.source}: has parameters of '{people.body}', but template '{template.name}' lies on "
                f"the body '{template.body}'; give a template of '{people.body}' (tools/build_template.py "
                f"makes one), or correspondence='{people.body}_to_{template.body}'"
                + (f" (the one given leads from '{found.source}' to '{found.target}')" if found else '')
            )
        self.carried = found.points(template.surface)

    def on(self, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return vertex ids (V, 3) and weights (V, 3) on a body of these faces."""
        if self.carried is None:
            ids = np.repeat(self.template.source_vertex_ids[:, None], 3, axis=1)
            return ids, np.full(ids.shape, 1 / 3)
        finder = TriangleFinder(self.carried[faces], np.zeros(len(faces), np.int64))
        wanted = self.template.vertices.astype(np.float64)
        found, weights, _ = finder(wanted, np.zeros(len(wanted), np.int64))
        return faces[found], weights


class _Converter:
    """Poses and projects people a chunk at a time, and counts those that cannot be."""

    def __init__(
        self, people, template, corners: _Corners, load_body, image_root, focal, report: ReadReport
    ) -> None:
        self.people, self.template, self.corners, self.load_body = people, template, corners, load_body
        self.image_root = None if image_root is None else Path(image_root)
        self.focal, self.report = focal, report
        self._sizes: dict[str, tuple[int, int] | None] = {}

    def chunks(self) -> list[tuple[SmplBody, np.ndarray]]:
        """Return rows that have one body, a chunk at a time, without those that cannot be posed."""
        rows = self.people.check_finite(self.report.dropped)
        genders = np.array(self.people.genders)[rows]
        chunks = []
        for gender in sorted(set(genders)):
            own = rows[genders == gender]
            try:
                body = self.load_body(gender)
            except (FileNotFoundError, ValueError) as error:
                self.report.dropped[f'person: no {gender} model file'] += len(own)
                self.report.problems.append(str(error))
                continue
            chunks += [(body, own[k:k + _CHUNK]) for k in range(0, len(own), _CHUNK)]
        return chunks

    def convert(self, chunk: tuple[SmplBody, np.ndarray]) -> list[dict]:
        """Return the labels of one chunk's people."""
        body, rows = chunk
        people = self.people[rows]
        try:
            posed = body.pose_parameters(**people.parameters)
        except ValueError as error:
            self.report.dropped['person: parameters do not fit the body model'] += len(rows)
            self.report.problems.append(f'{people.source}: {error}')
            return []
        faces = np.asarray(body.faces)
        corners = self.corners.on(faces)
        converted = []
        for place_in_chunk, row in enumerate(rows):
            result = self._one(people, place_in_chunk, posed, faces, corners)
            if isinstance(result, str):
                self.report.dropped[result] += 1
            else:
                converted.append(dict(result, row=int(row)))
        return converted

    def _one(self, people: ParametricPeople, k: int, posed, faces: np.ndarray, corners) -> dict | str:
        size = self._size(people.image_paths[k], people.image_sizes[k], people.intrinsics[k])
        if size is None:
            return 'person: image is missing or unreadable'
        extrinsics, transl = people.extrinsics[k], people.transl[k]
        if not np.isfinite(extrinsics).all():
            return 'person: camera is not finite'
        turn = extrinsics[:3, :3]
        vertices, joints = (
            points[k].astype(np.float64) @ turn.T for points in (posed.vertices, posed.joints)
        )
        placed = place(vertices, joints, turn @ transl + extrinsics[:3, 3],
                       self._intrinsics(people.intrinsics[k], size), people.joints2d[k])
        if isinstance(placed, str):
            return f'person: {placed}'
        xyz, pixels_per_metre = placed
        box = self._box(people.bboxes[k], xyz, size)
        if box is None:
            return 'person: outside the image'
        ids, weights = corners
        mesh, projected = (np.einsum('vk,vkd->vd', weights, points[ids]) for points in (vertices, xyz))
        relative = mesh - self.template.joints(mesh)[self.template.root_joint]
        canvas = np.broadcast_to(np.int32(-1), (size[1], size[0]))
        # A vertex between three of the body's is seen where the nearest of them is.
        nearest = np.take_along_axis(ids, weights.argmax(1)[:, None], 1)[:, 0]
        seen = vertex_visibility(Raster(canvas, canvas, canvas), xyz.astype(np.float32), faces, nearest)
        image_space = np.column_stack([projected[:, :2], relative[:, 2] * pixels_per_metre])
        return dict(
            box=box,
            size=size,
            vertices_image=image_space.astype(np.float32),
            vertices_camera=relative.astype(np.float32),
            visibility=seen.astype(np.uint8),
        )

    def _intrinsics(self, intrinsics: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        if np.isfinite(intrinsics).all() or self.focal is None:
            return intrinsics
        return np.array([[self.focal, 0, size[0] / 2], [0, self.focal, size[1] / 2], [0, 0, 1]])

    @staticmethod
    def _box(given: np.ndarray, xyz: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
        """Return the box x, y, width, height: the given one, else the mesh's, clipped to the image."""
        low, high = xyz[:, :2].min(0), xyz[:, :2].max(0)
        if np.isfinite(given).all() and (given[2:] > 0).all():
            low, high = given[:2], given[:2] + given[2:]
        low, high = np.clip(low, 0, size), np.clip(high, 0, size)
        return None if (high - low < _SMALLEST_BOX).any() else np.concatenate([low, high - low])

    def _size(self, path: str, known: np.ndarray, intrinsics: np.ndarray) -> tuple[int, int] | None:
        """Return the size of an image: from its file, else as the data set says; None if it is missing."""
        if path not in self._sizes:
            if self.image_root is not None:
                self._sizes[path] = _image_size(self.image_root / path)
            elif (known > 0).all():
                self._sizes[path] = (int(known[0]), int(known[1]))
            elif np.isfinite(intrinsics).all():
                # The principal point lies in the middle of the picture, as good as exactly.
                self._sizes[path] = (round(2 * intrinsics[0, 2]), round(2 * intrinsics[1, 2]))
            else:
                self._sizes[path] = None
        return self._sizes[path]


def _image_size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path) as image:
            return image.size
    except OSError:
        return None


def _annotations(people: ParametricPeople, results: list[dict]) -> Iterator[tuple[dict, dict]]:
    """Yield the image and the annotation of each person."""
    ids: dict[str, int] = {}
    for result in results:
        row, path = result['row'], people.image_paths[result['row']]
        image = ids.setdefault(path, len(ids) + 1)
        width, height = result['size']
        annotation = dict(
            id=row + 1,
            image_id=image,
            category_id=1,
            iscrowd=0,
            bbox=np.round(result['box'], 2).tolist(),
            area=float(np.round(result['box'][2] * result['box'][3], 1)),
        )
        keypoints = people.keypoints[row]
        if (keypoints[:, 2] > 0).any():
            annotation['keypoints'] = np.round(keypoints, 2).ravel().tolist()
            annotation['num_keypoints'] = int((keypoints[:, 2] > 0).sum())
        yield dict(id=image, file_name=path, width=width, height=height), annotation


def _write(out: Path, people: ParametricPeople, template: MeshTemplate, results: list[dict]) -> None:
    pairs = list(_annotations(people, results))
    content = dict(
        info=dict(description=f'converted from {people.source}', densepose_surface=template.body,
                  template=template.name),
        categories=[dict(id=1, name='person')],
        images=list({image['id']: image for image, _ in pairs}.values()),
        annotations=[annotation for _, annotation in pairs],
    )
    arrays = {
        name: np.stack([result[name] for result in results])
        for name in ('vertices_image', 'visibility', 'vertices_camera')
    }
    out.mkdir(parents=True, exist_ok=True)
    write_npz(
        out / MESHES,
        dict(
            template=np.array(template.name),
            version=np.array(MESHES_VERSION),
            annotation_ids=np.array([annotation['id'] for _, annotation in pairs], np.int64),
            **arrays,
        ),
    )
    write_atomically(out / ANNOTATIONS, json.dumps(content).encode())
