"""Errors in space beyond the mean over vertices: joints of any regressor, body parts, PCK and its area.

All functions take distances in mm, as :func:`~meshpose_plugins.evaluation.mesh_errors.root_errors` and
``similarity_errors`` give them, so that the alignment is declared once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from meshpose_plugins.templates.parts import COARSE_PART_NAMES, COARSE_PARTS, PART_NAMES

if TYPE_CHECKING:
    from meshpose_plugins.templates import MeshTemplate

PCK_THRESHOLD_MM = 150.0
#: The thresholds whose mean PCK is the AUC: 0 to 150 mm in steps of 5, as in MPI-INF-3DHP.
AUC_THRESHOLDS_MM = np.linspace(0.0, PCK_THRESHOLD_MM, 31)


def pck_curve(distances: np.ndarray, thresholds: np.ndarray = AUC_THRESHOLDS_MM) -> np.ndarray:
    """Percentage of correct points at each threshold: the share of distances below it.

    Args:
        distances: (..., N) mm.
        thresholds: (T,) mm.

    Returns:
        (..., T) percent; NaN where a distance is NaN.
    """
    distances, thresholds = np.asarray(distances, np.float64), np.asarray(thresholds, np.float64)
    curve = 100.0 * (distances[..., None, :] < thresholds[:, None]).mean(-1)
    return np.where(np.isnan(distances).any(-1, keepdims=True), np.nan, curve)


def pck_3d(distances: np.ndarray, threshold: float = PCK_THRESHOLD_MM) -> np.ndarray:
    """Percentage of points (..., N) nearer than the threshold, both in mm: the 3-D PCK.

    Source: D. Mehta et al., "Monocular 3D human pose estimation in the wild", 3DV 2017.
    """
    return pck_curve(distances, np.array([threshold]))[..., 0]


def auc_3d(distances: np.ndarray) -> np.ndarray:
    """Mean 3-D PCK over the thresholds 0 to 150 mm, in percent, of distances (..., N) in mm.

    Nothing is below 0 mm, so that a perfect prediction has 30 of 31 thresholds: 96.8, as in the evaluations
    of MPI-INF-3DHP and MMPose.
    """
    return pck_curve(distances).mean(-1)


def part_shares(template: MeshTemplate, coarse: bool = True) -> dict[str, np.ndarray]:
    """Share of each vertex that belongs to each DensePose part: the share of its faces.

    Args:
        template: gives the faces' parts.
        coarse: 8 coarse parts, left and right together; or else the 24 parts.

    Returns:
        part name -> (V,) shares in [0, 1]; over all parts they sum to 1 for each vertex.
    """
    names = COARSE_PART_NAMES if coarse else PART_NAMES
    part = np.asarray(template.face_parts, np.int64) - 1
    part = np.asarray(COARSE_PARTS)[part] - 1 if coarse else part
    counts = np.zeros((len(names), template.num_vertices))
    np.add.at(counts, (np.repeat(part, 3), template.faces.ravel()), 1.0)
    return dict(zip(names, counts / counts.sum(0)))


def part_errors(distances: np.ndarray, shares: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Mean error of each body part: the mean of the vertices' distances, weighted by their shares.

    The mean over parts, weighted by the sums of their shares, is the mean over all vertices.

    Args:
        distances: (..., V) mm.
        shares: part name -> (V,), of :func:`part_shares`.

    Returns:
        part name -> (...) mm.
    """
    return {name: np.asarray(distances) @ share / share.sum() for name, share in shares.items()}


def load_joint_regressor(source: str | Path | np.ndarray, template: MeshTemplate) -> np.ndarray:
    """Return joints as weighted sums of a template's vertices, (J, V) float64.

    Args:
        source: 'joints' or 'keypoints': the template's own; or an array, or an .npy file with one, of (J, V)
            for the template's vertices or (J, N) for those of its full body, e.g. the 17 joints of Human3.6M
            from SMPL's 6890 vertices. Rows sum to 1.
        template: the template.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a regressor of another number of vertices, or with rows that do not sum to 1.
    """
    if isinstance(source, str) and source in ('joints', 'keypoints'):
        return _exact_sums(template.joint_regressor if source == 'joints' else template.keypoint_regressor)
    regressor, where = source, 'joint_regressor'
    if not isinstance(source, np.ndarray):
        where = str(source)
        if not Path(source).is_file():
            raise FileNotFoundError(
                f"joint_regressor: expected 'joints', 'keypoints' or an .npy file, got {source!r}"
            )
        try:
            regressor = np.load(source, allow_pickle=False)
        except (ValueError, OSError) as error:
            raise ValueError(f'{where}: no readable .npy file: {error}') from None
    regressor = np.asarray(regressor, np.float64)
    full = template.num_body_vertices
    if regressor.ndim != 2 or regressor.shape[1] not in (template.num_vertices, full):
        raise ValueError(
            f"{where}: expected (joints, {template.num_vertices}) or (joints, {full}) for template "
            f"'{template.name}', got {regressor.shape}"
        )
    sums = regressor.sum(1)
    if not np.allclose(sums, 1.0, atol=1e-3):
        worst = int(np.argmax(np.abs(sums - 1)))
        raise ValueError(f'{where}: the rows must sum to 1, row {worst} sums to {sums[worst]:.4g}')
    if regressor.shape[1] == full and full != template.num_vertices:
        regressor = regressor @ template.upsample(np.eye(template.num_vertices))
    return _exact_sums(regressor)


def _exact_sums(regressor: np.ndarray) -> np.ndarray:
    """Return float64 rows that sum to 1, which float32 rows miss: joints must move as the vertices do."""
    regressor = np.asarray(regressor, np.float64)
    return regressor / regressor.sum(1, keepdims=True)
