"""One predicted person: the record of the predictions file, what is wrong with records, and conversions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshpose_plugins.templates.parts import NUM_PARTS

if TYPE_CHECKING:
    from meshpose_plugins.templates import MeshTemplate

#: Which vertices a record may hold: those of the low-poly template, or all of the template's full body.
VERTEX_SETS = ('template', 'body')


@dataclass
class PredictionRecord:
    """One predicted person.

    A record needs an ``instance_id`` or a ``box``, and ``vertices`` or ``iuv``.

    Args:
        image_id: id of the image in its annotation file, or the image's name.
        instance_id: id of the person, unique in its image: the annotation's where there is one. None for a
            detection that has no id.
        box: (4,) float64 x1, y1, x2, y2 of the person in image px, or None.
        score: confidence of the person.
        template: name of the template that ``vertices`` belong to; '' without vertices.
        vertices: (V, 3) float32; x, y in image px, z in image px relative to the root joint, away from the
            camera. Or None.
        visibility: (V,) float32 in [0, 1], or None.
        vertex_set: 'template': V is the template's; 'body': V is that of the full body to which the template
            belongs.
        vertices_camera: (V, 3) float32 the same vertices in metres, axes x right, y down, z away from the
            camera, any origin: for methods that predict metres. Or None.
        iuv: (h, w, 3) uint8 DensePose map of the box, its first pixel at the truncated x1, y1: part 0 to 24,
            U * 255, V * 255. Or None.
    """

    image_id: int | str
    instance_id: int | str | None = None
    box: np.ndarray | None = None
    score: float = 1.0
    template: str = ''
    vertices: np.ndarray | None = None
    visibility: np.ndarray | None = None
    vertex_set: str = 'template'
    vertices_camera: np.ndarray | None = None
    iuv: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.score = float(self.score)
        for field, dtype in _FLOAT_FIELDS:
            if getattr(self, field) is not None:
                setattr(self, field, np.asarray(getattr(self, field), dtype))
        if self.iuv is not None:
            self.iuv = np.asarray(self.iuv)


_FLOAT_FIELDS = (
    ('box', np.float64),
    ('vertices', np.float32),
    ('visibility', np.float32),
    ('vertices_camera', np.float32),
)


def image_vertices(
    vertices_camera: np.ndarray,  # (..., V, 3)
    focal: float,
    center: Sequence[float],
    root: np.ndarray,  # (..., 3)
) -> np.ndarray:
    """Project vertices of a perspective camera as the predictions file wants them.

    Args:
        vertices_camera: metres in the camera's frame, axes x right, y down, z away from the camera.
        focal: focal length in image px.
        center: x, y of the principal point in image px.
        root: the root joint in the camera's frame, metres: depths become relative to it.

    Returns:
        (..., V, 3) float64 x, y in image px and z in image px, at the scale that the root's depth has.

    Raises:
        ValueError: a vertex or the root does not lie in front of the camera.
    """
    vertices_camera, root = (
        np.asarray(vertices_camera, np.float64),
        np.asarray(root, np.float64)[..., None, :],
    )
    nearest = min(vertices_camera[..., 2].min(), root[..., 2].min())
    if not nearest > 0:
        raise ValueError(f'vertices must lie in front of the camera, got the depth {nearest:.3g} m')
    xy = focal * vertices_camera[..., :2] / vertices_camera[..., 2:] + np.asarray(center, np.float64)
    depth = focal * (vertices_camera[..., 2:] - root[..., 2:]) / root[..., 2:]
    return np.concatenate([xy, depth], axis=-1)


def template_vertices(
    record: PredictionRecord, template: MeshTemplate, field: str = 'vertices'
) -> np.ndarray:
    """Return the template's vertices (V, 3) of a record, picked from the full body where it holds that."""
    vertices = getattr(record, field)
    return vertices[template.source_vertex_ids] if record.vertex_set == 'body' else vertices


def body_vertices(record: PredictionRecord, template: MeshTemplate, field: str = 'vertices') -> np.ndarray:
    """Return the full body's vertices (N, 3) of a record, interpolated where it holds the template's."""
    vertices = getattr(record, field)
    return vertices if record.vertex_set == 'body' else template.upsample(vertices)


def record_problems(
    records: Sequence[PredictionRecord], template: MeshTemplate | None, positions: Sequence[int]
) -> list[list[str]]:
    """List what is wrong with each record; an empty list for a good one.

    Args:
        records: the people, of any number of images.
        template: the template that all vertices must be of; without it the records of a template must agree
            in V, and those that differ from most are wrong.
        positions: the records' places in their file, which messages name.
    """
    counts = _vertex_counts(records, template)
    kinds = {field: _usual_kind(records, field) for field in ('image_id', 'instance_id')}
    seen: dict = {}
    problems = []
    for position, record in zip(positions, records):
        found = _id_problems(record, kinds)
        if record.instance_id is not None and not found:
            first = seen.setdefault((record.image_id, record.instance_id), position)
            if first != position:
                found.append(f'this pair of ids appears twice, first in record {first}')
        found += _box_problems(record) + _vertex_problems(record, template, counts)
        if record.iuv is not None:
            found += iuv_problems(record.iuv)
        problems.append(found)
    return problems


def _vertex_counts(records: Sequence[PredictionRecord], template: MeshTemplate | None) -> dict:
    """(template, vertex set) -> the number of vertices that its records must have."""
    if template is not None:
        counts = {(template.name, 'template'): template.num_vertices}
        if template.knows('upsampler_weights'):
            counts[template.name, 'body'] = template.num_body_vertices
        return counts
    found: dict = {}
    for record in records:
        if record.vertices is not None:
            found.setdefault((record.template, record.vertex_set), Counter())[len(record.vertices)] += 1
    return {key: counter.most_common(1)[0][0] for key, counter in found.items()}


def _kind(value) -> str:
    if value is None:
        return 'left out'
    return 'a string' if isinstance(value, str) else 'an integer'


def _usual_kind(records: Sequence[PredictionRecord], field: str) -> str:
    """Return what the ids of most records are; an instance id may be left out."""
    return (
        Counter(_kind(getattr(record, field)) for record in records).most_common(1)[0][0] if records else ''
    )


def _id_problems(record: PredictionRecord, kinds: dict) -> list[str]:
    problems = []
    for field, usual in kinds.items():
        value = getattr(record, field)
        right_type = isinstance(value, (int, np.integer, str)) and not isinstance(value, bool)
        if not right_type and not (field == 'instance_id' and value is None):
            problems.append(f'{field} must be an integer or a string, got {value!r}')
        elif isinstance(value, int) and abs(value) >= 2**63:
            problems.append(f'{field} must fit 64 bits, got {value}')
        elif _kind(value) != usual:
            problems.append(f'{field} is {_kind(value)} ({value!r}), in other records it is {usual}')
    return problems


def _box_problems(record: PredictionRecord) -> list[str]:
    problems = [] if np.isfinite(record.score) else [f'score is {record.score}']
    if record.box is None:
        missing = 'instance_id' if record.instance_id is None else 'iuv' if record.iuv is not None else ''
        needed = dict(instance_id='a record without instance_id needs a box', iuv='an iuv map needs a box')
        return problems + ([needed[missing]] if missing else [])
    found = _array_problems('box', record.box, (4,))
    if not found and (record.box[2:] < record.box[:2]).any():
        found = [f'box must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, got {record.box.tolist()}']
    return problems + found


def _vertex_problems(record: PredictionRecord, template: MeshTemplate | None, counts: dict) -> list[str]:
    if record.vertices is None:
        others = [name for name in ('visibility', 'vertices_camera') if getattr(record, name) is not None]
        missing = [] if record.iuv is not None else ['neither vertices nor iuv']
        return missing + [f'{name} without vertices' for name in others]
    if not isinstance(record.template, str) or not record.template:
        return [f'template must be the name of a template, got {record.template!r}']
    if record.vertex_set not in VERTEX_SETS:
        return [f'vertex_set must be {" or ".join(map(repr, VERTEX_SETS))}, got {record.vertex_set!r}']
    if template is not None and record.template != template.name:
        return [f"template is '{record.template}', expected '{template.name}'"]
    count = counts.get((record.template, record.vertex_set))
    if count is None:
        return [f"vertex_set is 'body', but template '{record.template}' does not know its full body"]
    owner = f"template '{record.template}'" + (' in full' if record.vertex_set == 'body' else '')
    reason = f' ({owner} has {count} vertices)'
    problems = _array_problems('vertices', record.vertices, (count, 3), reason)
    if record.vertices_camera is not None:
        problems += _array_problems('vertices_camera', record.vertices_camera, (count, 3), reason)
    if record.visibility is not None:
        found = _array_problems('visibility', record.visibility, (count,), reason)
        if not found and ((record.visibility < 0) | (record.visibility > 1)).any():
            worst = record.visibility[np.argmax(np.abs(record.visibility - 0.5))]
            found = [f'visibility must lie in [0, 1], got {worst}']
        problems += found
    return problems


def _array_problems(field: str, array: np.ndarray, shape: tuple, reason: str = '') -> list[str]:
    if array.shape != shape:
        return [f'{field} must be {shape}{reason}, got {array.shape}']
    wrong = np.argwhere(~np.isfinite(array))
    if not len(wrong):
        return []
    first = tuple(int(i) for i in wrong[0])
    more = f', and {len(wrong) - 1} more values are not finite' if len(wrong) > 1 else ''
    return [f'{field}{list(first)} is {array[first]}{more}']


def iuv_problems(iuv: np.ndarray) -> list[str]:
    """List what is wrong with a DensePose map; the usual mistakes are named with their remedy.

    Args:
        iuv: should be (h, w, 3) uint8: part 0 to 24, U * 255, V * 255.
    """
    if iuv.ndim != 3 or iuv.shape[2] != 3 or 0 in iuv.shape:
        return [f'iuv must be (h, w, 3), got {iuv.shape}']
    if iuv.dtype != np.uint8:
        return [
            f'iuv must be uint8, got {iuv.dtype}: I as the part number (a rendered colour I / 255 times 255),'
            ' U and V times 255'
        ]
    highest = iuv.reshape(-1, 3).max(0)
    if highest[0] > NUM_PARTS:
        swapped = highest[2] <= NUM_PARTS
        hint = (
            'the channels seem to be V, U, I, as OpenCV writes them: turn them round'
            if swapped
            else 'I is the part number, not scaled'
        )
        return [f'iuv has the part {highest[0]}, parts are 0 to {NUM_PARTS}: {hint}']
    foreground = iuv[iuv[..., 0] > 0]
    if len(foreground) > 16 and foreground[:, 1:].max() <= 1:
        return ['iuv has no U or V above 1 of 255: U and V in [0, 1] must be multiplied by 255']
    return []
