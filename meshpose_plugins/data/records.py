"""Surface points: pixels paired with places on the template's low-poly surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meshpose_plugins.rendering.frame import inside_frame


@dataclass
class SurfacePoints:
    """What a dense-pose annotation becomes once it is read: pixels and the surface places that they show.

    Args:
        xy: (P, 2) float32, x (right) and y (down) in pixels of one frame (image or crop); an integer
            coordinate is a pixel's centre.
        vertex_ids: (P, 3) int64, the template vertices of the low-poly triangle that holds each point.
        barycentrics: (P, 3) float32, the weights of those three vertices (non-negative, sum 1).
        valid: (P,) bool, False for padding or points that left the frame; all True when not given.

    Raises:
        ValueError: a field's shape does not fit the others.
    """

    xy: np.ndarray
    vertex_ids: np.ndarray
    barycentrics: np.ndarray
    valid: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.xy = np.asarray(self.xy, dtype=np.float32)
        self.vertex_ids = np.asarray(self.vertex_ids, dtype=np.int64)
        self.barycentrics = np.asarray(self.barycentrics, dtype=np.float32)
        if self.xy.ndim != 2 or self.xy.shape[1] != 2:
            raise ValueError(f'SurfacePoints.xy must be (P, 2), got {self.xy.shape}')
        count = len(self.xy)
        self.valid = np.ones(count, bool) if self.valid is None else np.asarray(self.valid, dtype=bool)
        for name, shape in (('vertex_ids', (count, 3)), ('barycentrics', (count, 3)), ('valid', (count,))):
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f'SurfacePoints.{name} must be {shape} to fit xy, got {getattr(self, name).shape}'
                )

    @classmethod
    def empty(cls) -> SurfacePoints:
        """Return a record of no points."""
        return cls(np.zeros((0, 2)), np.zeros((0, 3)), np.zeros((0, 3)))

    def __len__(self) -> int:
        return len(self.xy)

    def __getitem__(self, index) -> SurfacePoints:
        """Select points by an integer, a slice, a list of indices or a boolean mask."""
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f'point {index} of {len(self)}')
            index = [index]
        return SurfacePoints(
            self.xy[index], self.vertex_ids[index], self.barycentrics[index], self.valid[index]
        )

    def select(self, keep: np.ndarray) -> SurfacePoints:
        """Return the points that ``keep`` picks ((P,) bool, or (K,) indices), in order."""
        return self[np.asarray(keep)]

    def affine(self, matrix: np.ndarray) -> SurfacePoints:
        """Move the points to another frame: ``xy_new = matrix @ (x, y, 1)``.

        Args:
            matrix: (2, 3), as OpenCV's ``warpAffine`` takes it (source to destination pixels).

        Returns:
            A new record; the surface places do not change (for maps that may mirror the image use
            :func:`meshpose_plugins.data.affine.carry_points`).
        """
        matrix = np.asarray(matrix, dtype=np.float64)
        if matrix.shape != (2, 3):
            raise ValueError(f'matrix must be (2, 3), got {matrix.shape}')
        xy = self.xy @ matrix[:, :2].T + matrix[:, 2]
        return SurfacePoints(xy, self.vertex_ids, self.barycentrics, self.valid)

    def inside(self, width: float, height: float) -> SurfacePoints:
        """Mark as invalid the points whose pixel lies outside a frame of ``width`` x ``height`` pixels."""
        valid = self.valid & inside_frame(self.xy, width, height)
        return SurfacePoints(self.xy, self.vertex_ids, self.barycentrics, valid)

    def positions(self, vertices: np.ndarray) -> np.ndarray:
        """Return the places of the points on a posed mesh.

        Args:
            vertices: (V, C) vertex positions in any frame.

        Returns:
            (P, C): the barycentric means of each point's three vertices.
        """
        vertices = np.asarray(vertices)
        if vertices.ndim != 2:
            raise ValueError(f'vertices must be (V, C), got {vertices.shape}')
        return np.einsum('pk,pkc->pc', self.barycentrics, vertices[self.vertex_ids])
