"""One annotated person, as the readers give it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from meshpose_plugins.data.records import SurfacePoints

if TYPE_CHECKING:
    from meshpose_plugins.data.meshes import MeshLabels


@dataclass
class PersonRecord:
    """One annotated person.

    Args:
        annotation_id, image_id: ids as in the file.
        file_name: the image's path as in the file.
        image_size: (width, height) px.
        bbox: (4,) float32 x, y, width, height in image px.
        area: px of the person's mask.
        iscrowd: whether the annotation covers a crowd.
        points: the located DensePose points in image px, or None where the annotation has none.
        keypoints: (17, 3) float32 x, y, visibility (0, 1, 2) in image px, or None.
        segmentation: COCO polygons or run-length mask, or None.
        dp_masks: the 14 box-relative run-length masks, or None.
        ignore_regions: polygons (x, y, x, y, ... image px) of the image where other people are not annotated,
            or None; DensePose-PoseTrack has some.
        meshes, mesh_index: the file of meshes and the row of this person in it (None, -1 without).
    """

    annotation_id: int | str
    image_id: int | str
    file_name: str
    image_size: tuple[int, int]
    bbox: np.ndarray
    area: float = 0.0
    iscrowd: bool = False
    points: SurfacePoints | None = None
    keypoints: np.ndarray | None = None
    segmentation: Any = None
    dp_masks: list | None = None
    ignore_regions: list[list[float]] | None = None
    meshes: MeshLabels | None = field(default=None, repr=False)
    mesh_index: int = -1

    def _mesh(self, name: str) -> np.ndarray | None:
        if self.meshes is None or self.mesh_index < 0:
            return None
        return np.asarray(getattr(self.meshes, name)[self.mesh_index])

    @property
    def vertices_image(self) -> np.ndarray | None:
        """(V, 3) float32: x, y in image px, z relative to the root joint in image px; None without a mesh."""
        return self._mesh('vertices_image')

    @property
    def vertices_camera(self) -> np.ndarray | None:
        """(V, 3) float32 metres relative to the root joint (right, down, away); None without a mesh."""
        return self._mesh('vertices_camera')

    @property
    def vertex_visibility(self) -> np.ndarray | None:
        """(V,) uint8, 1 for a vertex that is in the image and unoccluded; None without a mesh."""
        return self._mesh('visibility')
