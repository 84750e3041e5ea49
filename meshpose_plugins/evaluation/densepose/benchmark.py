"""How fast the DensePose evaluation is, on made-up people, beside a plain reference in the same run."""

from __future__ import annotations

import cProfile
import pstats
import resource
import sys
import time
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import zoom
from scipy.spatial.distance import cdist

from meshpose_plugins.data.densepose import BOX_GRID
from meshpose_plugins.data.masks import MASK_GRID, NUM_MASKS
from meshpose_plugins.data.rle import decode_mask, encode_labels
from meshpose_plugins.evaluation.densepose.evaluator import Evaluator
from meshpose_plugins.evaluation.densepose.iuv import draw_iuv
from meshpose_plugins.evaluation.densepose.surface import EvaluationSurface
from meshpose_plugins.evaluation.prediction_record import PredictionRecord, body_vertices
from meshpose_plugins.rendering import rasterize, render_iuv
from meshpose_plugins.rendering.benchmark import fit_to_picture
from meshpose_plugins.templates import MeshTemplate
from meshpose_plugins.templates.parts import MASK_PARTS

#: Distinct annotated people; the others are these again, with predictions of their own.
DISTINCT_PEOPLE = 32
POINTS = 100
#: Part of the evaluation -> functions whose time, with all that they call, it is.
SHARES = {
    'rendering': ('draw_iuv', 'body_vertices'),
    'geodesics': ('point_distances',),
    'masks': ('mask', 'mask_iou', '_masked'),
    'AP': ('average_precision',),
}


@dataclass(frozen=True)
class EvaluationTiming:
    """What was measured.

    Attributes:
        instances, size: how many people, and the side of their square maps in px.
        seconds: of the whole evaluation, after compilation and with the geodesics at hand.
        cpu_seconds: processor time of all threads together: the same on a busy machine.
        workers: its threads.
        peak_gb: largest memory of the process in GB (also what is mapped from files).
        shares: part of the evaluation -> share of one thread's time.
        instance_ms, plain_ms: one person by the evaluator (one thread) and by the plain reference.
        largest_difference: between their GPS and IoU.
        scores: GPSm AP of the made-up people, to see that something was measured.
    """

    instances: int
    size: int
    seconds: float
    cpu_seconds: float
    workers: int
    peak_gb: float
    shares: dict[str, float]
    instance_ms: float
    plain_ms: float
    largest_difference: float
    scores: float

    @property
    def ratio(self) -> float:
        """How many times faster than the reference one person is."""
        return self.plain_ms / self.instance_ms


def benchmark(
    template: MeshTemplate, surface: EvaluationSurface, instances: int, size: int, workers: int, seed: int = 0
) -> EvaluationTiming:
    """Evaluate made-up people under P1, and some of them also by the plain reference.

    Args:
        template: whose body is drawn.
        surface: its evaluation surface, with distances as an array.
        instances: how many people, one per image.
        size: side of the images and boxes in px.
        workers: threads.
        seed: of the people.

    Raises:
        ValueError: fewer than one person, or a size below 64.
    """
    if instances < 1 or size < 64:
        raise ValueError(f'instances must be at least 1 and size at least 64, got {instances} and {size}')
    annotations, records = make_people(template, instances, size, np.random.default_rng(seed))
    some = _first(annotations, min(instances, 2))
    Evaluator(some, surface, workers=1).evaluate(records[:2], ['P1'])  # compiles
    start, cpu_start = time.perf_counter(), time.process_time()
    found = Evaluator(annotations, surface, workers=workers).evaluate(records, ['P1'], progress=True)['P1']
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    peak = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024) / 1e9
    )
    few = min(instances, 100)
    shares, few_seconds = _profile(_first(annotations, few), records[:few], surface)
    plain_count = min(instances, 5)
    start = time.perf_counter()
    plain = [
        plain_scores(annotations['annotations'][n], records[n], template, surface) for n in range(plain_count)
    ]
    plain_ms = 1e3 * (time.perf_counter() - start) / plain_count
    own = [(person.gps, person.iou) for person in found.people[:plain_count]]
    return EvaluationTiming(
        instances,
        size,
        seconds,
        cpu_seconds,
        workers,
        peak,
        shares,
        1e3 * few_seconds / few,
        plain_ms,
        float(np.abs(np.array(plain) - own).max()),
        found.metrics['gpsm']['AP'],
    )


def make_people(
    template: MeshTemplate, count: int, size: int, rng: np.random.Generator
) -> tuple[dict, list[PredictionRecord]]:
    """Make annotations and predictions of people who fill square images, turned and shifted at random."""
    distinct = [_make_person(template, size, rng) for _ in range(min(count, DISTINCT_PEOPLE))]
    images, people, records = [], [], []
    box = np.array([0, 0, size, size], np.float64)
    for n in range(count):
        annotation, vertices = distinct[n % len(distinct)]
        images.append(dict(id=n + 1, file_name=f'{n + 1}.jpg', width=size, height=size))
        people.append(dict(annotation, id=n + 1, image_id=n + 1))
        moved = vertices + np.append(rng.normal(0, 0.01 * size, 2), 0)
        records.append(PredictionRecord(n + 1, n + 1, box, 1.0, template.name, moved))
    info = dict(densepose_surface=template.body)
    return dict(info=info, images=images, annotations=people), records


def _make_person(template: MeshTemplate, size: int, rng: np.random.Generator) -> tuple[dict, np.ndarray]:
    """One annotation, and the template's vertices in its image."""
    turn = rng.uniform(0, 2 * np.pi)
    matrix = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    vertices = fit_to_picture(template.vertices @ matrix, size, size)
    box = np.array([0, 0, size, size], np.float64)
    iuv = draw_iuv(template.upsample(vertices), template.surface, box)
    rows, columns = np.nonzero(iuv[..., 0])
    chosen = rng.choice(len(rows), POINTS)
    values = iuv[rows[chosen], columns[chosen]].astype(float)
    places = np.arange(MASK_GRID) * size // MASK_GRID
    labels = np.append(0, MASK_PARTS)[iuv[np.ix_(places, places)][..., 0]]
    annotation = dict(
        iscrowd=0,
        bbox=box.tolist(),
        area=float(len(rows)),
        dp_x=((columns[chosen] + 0.5) * BOX_GRID / size).tolist(),
        dp_y=((rows[chosen] + 0.5) * BOX_GRID / size).tolist(),
        dp_I=values[:, 0].tolist(),
        dp_U=(values[:, 1] / 255).tolist(),
        dp_V=(values[:, 2] / 255).tolist(),
        dp_masks=encode_labels(labels, NUM_MASKS),
    )
    return annotation, vertices


def plain_scores(
    annotation: dict, record: PredictionRecord, template: MeshTemplate, surface: EvaluationSurface
) -> tuple[float, float]:
    """GPS and IoU of a person under P1, with NumPy and SciPy alone; for boxes that are whole images."""
    x, y, width, height = (int(value) for value in annotation['bbox'])
    body = template.surface
    vertices = body_vertices(record, template).astype(np.float64) - [x, y, 0]
    raster = rasterize(vertices, body.faces, height, width, backend='numpy')
    iuv = render_iuv(raster, body.face_parts, body.face_uv)
    iuv[..., 1:] = np.floor(iuv[..., 1:] * 255 + 0.5)
    painted = np.zeros((MASK_GRID, MASK_GRID))
    for part in filter(None, annotation['dp_masks']):
        painted[decode_mask(part) > 0] = 1
    mask = zoom(painted, (height / MASK_GRID, width / MASK_GRID), order=1, prefilter=False) > 0.5
    iuv[~mask] = 0
    found = iuv[..., 0] > 0
    columns = (np.array(annotation['dp_x']) * width / BOX_GRID).astype(int)
    rows = (np.array(annotation['dp_y']) * height / BOX_GRID).astype(int)
    true = _plain_nearest(surface, *(np.array(annotation[f'dp_{name}']) for name in 'IUV'))
    predicted = _plain_nearest(surface, *(iuv[rows, columns] / [1, 255, 255]).T)
    distances = np.full(len(true), np.inf)
    known = predicted >= 0
    distances[known] = surface.distance(true[known], predicted[known])
    kappa = surface.kappa(true)
    gps = np.exp(-(distances**2) / (2 * kappa**2)).mean()
    return float(gps), float((found & mask).sum() / (found | mask).sum())


def _plain_nearest(surface: EvaluationSurface, i: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    result = np.full(len(i), -1)
    for part in np.unique(i[i > 0]):
        members, points = np.flatnonzero(surface.parts == part), np.flatnonzero(i == part)
        result[points] = members[cdist(surface.uv[members], np.stack([u, v], axis=1)[points]).argmin(axis=0)]
    return result


def _first(annotations: dict, count: int) -> dict:
    return dict(
        annotations, images=annotations['images'][:count], annotations=annotations['annotations'][:count]
    )


def _profile(annotations: dict, records: list, surface: EvaluationSurface) -> tuple[dict[str, float], float]:
    """Shares of one thread's time, and the seconds of a run that is not profiled."""
    evaluator = Evaluator(annotations, surface, workers=1)
    start = time.perf_counter()
    evaluator.evaluate(records, ['P1'])
    seconds = time.perf_counter() - start
    profiler = cProfile.Profile()
    profiler.enable()
    Evaluator(annotations, surface, workers=1).evaluate(records, ['P1'])
    profiler.disable()
    stats = pstats.Stats(profiler)
    shares = {name: 0.0 for name in SHARES}
    for (file, _, function), row in stats.stats.items():
        for name, functions in SHARES.items():
            if function in functions and 'meshpose_plugins' in file:
                shares[name] += row[3] / stats.total_tt  # cumulated; none of the functions calls another one
    shares['rest'] = 1 - sum(shares.values())
    return shares, seconds
