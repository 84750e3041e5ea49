"""From predicted and true meshes to errors in space and time, whatever framework they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from meshpose_plugins.evaluation import mesh_errors, position_errors, temporal_errors
from meshpose_plugins.evaluation.mesh_errors import SCALE_RULES, root_errors, similarity_errors
from meshpose_plugins.evaluation.prediction_record import PredictionRecord, template_vertices

if TYPE_CHECKING:
    from meshpose_plugins.data.meshes import MeshLabels
    from meshpose_plugins.templates import MeshTemplate

#: Name and unit of the errors in space that every person has.
UNITS = {
    'mpvpe': 'mm',
    'pa_mpvpe': 'mm',
    'mpjpe': 'mm',
    'pa_mpjpe': 'mm',
    'pck_150': '%',
    'auc': '%',
    'pa_pck_150': '%',
    'pa_auc': '%',
    'vertex_error_2d': '% of the height',
    'vertex_error_px': 'px',
}


@dataclass
class MeshEvaluation:
    """Errors in space of predicted meshes, and their means.

    Args:
        template: the template of the vertices.
        joint_regressor: as in :func:`~meshpose_plugins.evaluation.position_errors.load_joint_regressor`.
        scale: which of :data:`~meshpose_plugins.evaluation.mesh_errors.SCALE_RULES` applies where only the
            roots are aligned.
        coarse_parts: per-part errors of 8 coarse parts, or else of DensePose's 24.
    """

    template: MeshTemplate
    joint_regressor: str | np.ndarray = 'joints'
    scale: str = 'least_squares'
    coarse_parts: bool = True
    shares: dict[str, np.ndarray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        mesh_errors.check_scale_rule(self.scale)
        self._joints = position_errors.load_joint_regressor(self.joint_regressor, self.template)
        own_joints = position_errors.load_joint_regressor('joints', self.template)
        self._root = own_joints[self.template.root_joint]
        self.shares = position_errors.part_shares(self.template, self.coarse_parts)

    @property
    def rules(self) -> dict[str, str]:
        """What has to be said beside the numbers."""
        root = self.template.joint_names[self.template.root_joint]
        return {
            'scale_rule': f"{SCALE_RULES[self.scale]}; root joint '{root}'; vertices and joints each on "
            'their own',
            'pa_rule': 'rotation, scale and translation by least squares, never a mirror; vertices and joints'
            ' each on their own',
            'pck': f'share of joints nearer than {position_errors.PCK_THRESHOLD_MM:g} mm; auc: its mean over'
            ' 0, 5, ... 150 mm',
            'points': f"{self.template.num_vertices} vertices of '{self.template.name}', "
            f'{len(self._joints)} joints',
        }

    def joints(self, vertices: np.ndarray) -> np.ndarray:
        """Return the joints (..., J, 3) of vertices (..., V, 3)."""
        return self._joints @ np.asarray(vertices, np.float64)

    def vertex_distances(self, predicted: np.ndarray, true: np.ndarray, aligned: bool) -> np.ndarray:
        """Return each vertex's distance (..., V) in mm, after Procrustes alignment or with roots together."""
        if aligned:
            return similarity_errors(predicted, true)
        return root_errors(predicted, true, self._root @ predicted, self._root @ true, self.scale)

    def person(
        self,
        predicted: np.ndarray,  # (V, 3)
        true: np.ndarray,  # (V, 3)
        predicted_image: np.ndarray | None = None,  # (V, 2 or 3)
        true_image: np.ndarray | None = None,  # (V, 2 or 3)
    ) -> dict[str, float]:
        """Return the errors of one person; NaN where an error has no meaning.

        Args:
            predicted: predicted vertices, axes x right, y down, z away from the camera, in any unit (with the
                scale rule 'none' in metres).
            true: true vertices in metres, same axes.
            predicted_image: predicted vertices in image px; ``predicted`` itself if not given.
            true_image: true vertices in image px; without them there are no 2-D errors.

        Returns:
            the names of :data:`UNITS`, and ``pve_<part>`` and ``pa_pve_<part>`` in mm.

        Raises:
            ValueError: shapes that do not fit, or values that are not finite.
        """
        shape = (self.template.num_vertices, 3)
        if np.shape(predicted) != shape or np.shape(true) != shape:
            raise ValueError(
                f"template '{self.template.name}' needs vertices {shape}, got {np.shape(predicted)} and "
                f'{np.shape(true)}'
            )
        predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
        joints, true_joints = self.joints(predicted), self.joints(true)
        root, true_root = self._root @ predicted, self._root @ true
        results = {}
        for prefix, vertices, joint_distances in (
            (
                '',
                self.vertex_distances(predicted, true, False),
                root_errors(joints, true_joints, root, true_root, self.scale),
            ),
            ('pa_', self.vertex_distances(predicted, true, True), similarity_errors(joints, true_joints)),
        ):
            results[f'{prefix}mpvpe'] = float(vertices.mean())
            results[f'{prefix}mpjpe'] = float(joint_distances.mean())
            results[f'{prefix}pck_150'] = float(position_errors.pck_3d(joint_distances))
            results[f'{prefix}auc'] = float(position_errors.auc_3d(joint_distances))
            parts = position_errors.part_errors(vertices, self.shares)
            results.update({f'{prefix}pve_{name}': float(value) for name, value in parts.items()})
        if true_image is not None:
            image = predicted if predicted_image is None else predicted_image
            results['vertex_error_2d'] = float(mesh_errors.vertex_error_2d(image, true_image))
            results['vertex_error_px'] = float(mesh_errors.vertex_error_px(image, true_image))
        return results

    def summarise(self, people: Sequence[dict[str, float]]) -> dict[str, float]:
        """Return the means over the people that have each error; errors that nobody has are left out."""
        means = {}
        for name in dict.fromkeys(name for person in people for name in person):
            values = np.array([person.get(name, np.nan) for person in people], np.float64)
            if np.isfinite(values).any():
                means[name] = float(np.nanmean(values))
        return means

    def part_means(self, means: dict[str, float], aligned: bool = True) -> dict[str, float]:
        """Pick the errors of the body parts, part name -> mm, as the page of pictures draws them.

        Args:
            means: what :meth:`summarise` gave.
            aligned: the Procrustes-aligned errors, or else those with the roots together.
        """
        prefix = 'pa_pve_' if aligned else 'pve_'
        return {name: means[prefix + name] for name in self.shares if prefix + name in means}


@dataclass
class TemporalEvaluation:
    """Errors over time of sequences of people.

    In each frame the roots are put together, and the scale rule is applied to that frame, as for MPJPE. The
    motion of the root itself is therefore not judged.

    Args:
        scale: as in :class:`MeshEvaluation`.
        fps: frame rate; with it m/s^2 and m/s^3 are given too.
    """

    scale: str = 'least_squares'
    fps: float | None = None

    def __post_init__(self) -> None:
        mesh_errors.check_scale_rule(self.scale)
        if self.fps is not None and not self.fps > 0:
            raise ValueError(f'fps must be positive, got {self.fps}')

    @property
    def rules(self) -> dict[str, str]:
        """What has to be said beside the numbers."""
        return {
            'scale_rule': f'in each frame: {SCALE_RULES[self.scale]}',
            'acceleration_error': 'mm/frame^2: mean |a(predicted) - a(true)|, a = x[t+1] - 2 x[t] + x[t-1]',
            'jitter': 'mm/frame^3: mean length of the third difference',
            'per_second': 'frame rate unknown' if self.fps is None else f'fps {self.fps:g}: m/s^2 and m/s^3',
        }

    def sequence(
        self,
        predicted: np.ndarray,  # (T, N, 3)
        true: np.ndarray,  # (T, N, 3)
        predicted_root: np.ndarray,  # (T, 3)
        true_root: np.ndarray,  # (T, 3)
        frames: np.ndarray | None = None,  # (T,)
    ) -> dict[str, float]:
        """Return the errors of one person over time.

        Args:
            predicted: joints or vertices in any unit, axes x right, y down, z away from the camera.
            true: the same in metres.
            predicted_root, true_root: the root joints, in the same frames.
            frames: frame numbers, rising.

        Returns:
            ``acceleration_error`` (mm/frame^2), ``jitter`` and ``true_jitter`` (mm/frame^3), NaN without
            three (four) frames in a row; and the numbers of such rows, ``accelerations`` and ``jerks``.
        """
        predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
        true = true - np.asarray(true_root, np.float64)[:, None]
        predicted = predicted - np.asarray(predicted_root, np.float64)[:, None]
        predicted = mesh_errors.apply_scale(predicted, true, self.scale)
        predicted, true = (array * mesh_errors.MILLIMETRES_PER_METRE for array in (predicted, true))
        results = dict(
            acceleration_error=temporal_errors.acceleration_error(predicted, true, frames),
            jitter=temporal_errors.jitter(predicted, frames),
            true_jitter=temporal_errors.jitter(true, frames),
        )
        for name, order in (('accelerations', 2), ('jerks', 3)):
            results[name] = int(temporal_errors.regular_windows(len(true), order, frames).sum())
        return results

    def summarise(self, sequences: Sequence[dict[str, float]]) -> dict[str, float]:
        """Return the means over all frames of all sequences; with a frame rate in m/s^2 and m/s^3 too.

        A long sequence counts more than a short one. Errors that no sequence is long enough for are left out.
        """
        means = {}
        for name, counts, order in (
            ('acceleration_error', 'accelerations', 2),
            ('jitter', 'jerks', 3),
            ('true_jitter', 'jerks', 3),
        ):
            usable = [sequence for sequence in sequences if sequence[counts] > 0]
            if usable:
                weights = [sequence[counts] for sequence in usable]
                means[name] = float(np.average([sequence[name] for sequence in usable], weights=weights))
                if self.fps is not None:
                    means[f'{name}_m_s{order}'] = temporal_errors.per_second(means[name], order, self.fps)
        return means


def evaluate_meshes(
    records: Sequence[PredictionRecord],
    labels: MeshLabels,
    evaluation: MeshEvaluation,
    images: Mapping[int, int | str] | None = None,
) -> tuple[dict[int, dict[str, float]], list[str]]:
    """Compare the records of a predictions file with the true meshes of the same annotations.

    Args:
        records: valid records; ``instance_id`` is the annotation's id. Metres are taken where a record has
            them, pixels otherwise.
        labels: true meshes of the same template.
        evaluation: what to compute.
        images: annotation id -> image id; with it records of another image are no matches, such as those of a
            detector, whose instance ids are running numbers.

    Returns:
        annotation id -> errors of :meth:`MeshEvaluation.person`, and what could not be compared: records of
        unknown annotations, of no mesh, of another template, and annotations without a record.
    """
    template = evaluation.template
    errors: dict[int, dict[str, float]] = {}
    problems = []
    for position, record in enumerate(records):
        name = f'record {position} (image_id {record.image_id!r}, instance_id {record.instance_id!r})'
        row = labels.index.get(record.instance_id)  # whose keys are integers: a string is unknown
        if row is None:
            problems.append(f'{name}: there is no mesh of an annotation of this id')
        elif images is not None and images.get(record.instance_id) != record.image_id:
            problems.append(
                f'{name}: the annotation of this id is in image {images.get(record.instance_id)!r}'
            )
        elif record.vertices is None or record.template != template.name:
            held = 'no vertices' if record.vertices is None else f"vertices of '{record.template}'"
            problems.append(f"{name}: {held}, expected those of '{template.name}'")
        elif record.instance_id in errors:
            problems.append(f'{name}: this annotation has a record already')
        else:
            metric = 'vertices' if record.vertices_camera is None else 'vertices_camera'
            errors[int(record.instance_id)] = evaluation.person(
                template_vertices(record, template, metric),
                labels.vertices_camera[row],
                template_vertices(record, template),
                labels.vertices_image[row],
            )
    missing = [identity for identity in labels.index if identity not in errors]
    return errors, problems + [f'annotation {identity}: no prediction' for identity in missing]
