"""Compiled loops (numba, one thread, GIL released, no fast-math) behind the rendering functions.

Each mirrors a NumPy reference operation by operation. Arguments are trusted: shapes and ids are checked by
the callers.
"""

from __future__ import annotations

import math

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def _edge(ax, ay, bx, by, px, py):
    return (bx - ax) * (py - ay) - (by - ay) * (px - ax)


@_jit
def rasterize(xyz, faces, face_ids, barycentrics, depth):
    """Draws ``faces`` into the three buffers; ``depth`` starts at infinity, ``face_ids`` at -1."""
    height, width = depth.shape
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = np.float64(xyz[a, 0]), np.float64(xyz[a, 1]), np.float64(xyz[a, 2])
        bx, by, bz = np.float64(xyz[b, 0]), np.float64(xyz[b, 1]), np.float64(xyz[b, 2])
        cx, cy, cz = np.float64(xyz[c, 0]), np.float64(xyz[c, 1]), np.float64(xyz[c, 2])
        if not math.isfinite(ax + ay + az + bx + by + bz + cx + cy + cz):
            continue
        left, right = min(ax, bx, cx), max(ax, bx, cx)
        top, bottom = min(ay, by, cy), max(ay, by, cy)
        if right < 0.0 or left > width - 1 or bottom < 0.0 or top > height - 1:
            continue
        area = _edge(ax, ay, bx, by, cx, cy)
        if area == 0.0:
            continue
        sign = 1.0 if area > 0.0 else -1.0
        first_column, last_column = int(math.ceil(max(left, 0.0))), int(math.floor(min(right, width - 1.0)))
        first_row, last_row = int(math.ceil(max(top, 0.0))), int(math.floor(min(bottom, height - 1.0)))
        for row in range(first_row, last_row + 1):
            py = np.float64(row)
            for column in range(first_column, last_column + 1):
                px = np.float64(column)
                w0 = sign * _edge(bx, by, cx, cy, px, py)
                w1 = sign * _edge(cx, cy, ax, ay, px, py)
                w2 = sign * _edge(ax, ay, bx, by, px, py)
                if w0 < 0.0 or w1 < 0.0 or w2 < 0.0:
                    continue
                total = w0 + w1 + w2
                if not total > 0.0:
                    continue
                l0, l1, l2 = w0 / total, w1 / total, w2 / total
                z = np.float32(l0 * az + l1 * bz + l2 * cz)
                if z < depth[row, column]:
                    depth[row, column] = z
                    face_ids[row, column] = f
                    barycentrics[row, column, 0] = np.float32(l0)
                    barycentrics[row, column, 1] = np.float32(l1)
                    barycentrics[row, column, 2] = np.float32(l2)


@_jit
def accumulate_normals(xyz, faces, normals):
    """Adds every face's cross product (float64, twice its area) to its three vertices."""
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = _difference(xyz, b, a)
        vx, vy, vz = _difference(xyz, c, a)
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        if not math.isfinite(nx + ny + nz):
            continue
        for vertex in (a, b, c):
            normals[vertex, 0] += nx
            normals[vertex, 1] += ny
            normals[vertex, 2] += nz


@_jit
def _difference(xyz, b, a):
    return (
        np.float64(xyz[b, 0]) - np.float64(xyz[a, 0]),
        np.float64(xyz[b, 1]) - np.float64(xyz[a, 1]),
        np.float64(xyz[b, 2]) - np.float64(xyz[a, 2]),
    )


@_jit
def shade(face_ids, barycentrics, faces, normals, colors, per_face, light, ambient, diffuse, picture):
    """Writes Lambert-shaded colours into ``picture`` wherever a face is drawn."""
    for row in range(face_ids.shape[0]):
        for column in range(face_ids.shape[1]):
            f = face_ids[row, column]
            if f < 0:
                continue
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            l0, l1, l2 = (
                barycentrics[row, column, 0],
                barycentrics[row, column, 1],
                barycentrics[row, column, 2],
            )
            nx = l0 * normals[a, 0] + l1 * normals[b, 0] + l2 * normals[c, 0]
            ny = l0 * normals[a, 1] + l1 * normals[b, 1] + l2 * normals[c, 1]
            nz = l0 * normals[a, 2] + l1 * normals[b, 2] + l2 * normals[c, 2]
            length = math.sqrt(nx * nx + ny * ny + nz * nz)
            if nz > 0.0:
                length = -length
            lambert = np.float32(0.0)
            if length != 0.0:
                lambert = max(
                    np.float32((nx * light[0] + ny * light[1] + nz * light[2]) / length), np.float32(0.0)
                )
            for channel in range(3):
                if per_face:
                    color = colors[f, channel]
                else:
                    color = l0 * colors[a, channel] + l1 * colors[b, channel] + l2 * colors[c, channel]
                value = color * (ambient[channel] + diffuse[channel] * lambert)
                picture[row, column, channel] = min(max(value, np.float32(0.0)), np.float32(1.0))


@_jit
def _sort_into_cells(xyz, vertex_ids, listed, height, width):
    """Lists the positions k with ``listed[k]`` by the pixel their vertex falls into.

    Returns starts (height * width + 1,) and order: cell c holds ``order[starts[c]:starts[c + 1]]``.
    """
    starts = np.zeros(height * width + 1, dtype=np.int64)
    cells = np.full(vertex_ids.shape[0], -1, dtype=np.int64)
    for k in range(vertex_ids.shape[0]):
        if listed[k]:
            v = vertex_ids[k]
            cells[k] = int(math.floor(xyz[v, 1] + 0.5)) * width + int(math.floor(xyz[v, 0] + 0.5))
            starts[cells[k] + 1] += 1
    for cell in range(height * width):
        starts[cell + 1] += starts[cell]
    order = np.empty(starts[height * width], dtype=np.int64)
    position = starts[:-1].copy()
    for k in range(vertex_ids.shape[0]):
        if cells[k] >= 0:
            order[position[cells[k]]] = k
            position[cells[k]] += 1
    return starts, order


@_jit
def mark_occluded(xyz, faces, vertex_ids, height, width, tolerance, visible):
    """Clears ``visible`` of each vertex that a face not its own covers, nearer by more than ``tolerance``.

    A face looks only at the vertices in the pixels under its bounding box.
    """
    starts, order = _sort_into_cells(xyz, vertex_ids, visible, height, width)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = np.float64(xyz[a, 0]), np.float64(xyz[a, 1]), np.float64(xyz[a, 2])
        bx, by, bz = np.float64(xyz[b, 0]), np.float64(xyz[b, 1]), np.float64(xyz[b, 2])
        cx, cy, cz = np.float64(xyz[c, 0]), np.float64(xyz[c, 1]), np.float64(xyz[c, 2])
        if not math.isfinite(ax + ay + az + bx + by + bz + cx + cy + cz):
            continue
        left, right = min(ax, bx, cx), max(ax, bx, cx)
        top, bottom = min(ay, by, cy), max(ay, by, cy)
        if right < -0.5 or left >= width - 0.5 or bottom < -0.5 or top >= height - 0.5:
            continue
        area = _edge(ax, ay, bx, by, cx, cy)
        if area == 0.0:
            continue
        sign = 1.0 if area > 0.0 else -1.0
        nearest = min(az, bz, cz)
        first_column = int(math.floor(max(left, 0.0) + 0.5))
        last_column = int(math.floor(min(right, width - 1.0) + 0.5))
        first_row = int(math.floor(max(top, 0.0) + 0.5))
        last_row = int(math.floor(min(bottom, height - 1.0) + 0.5))
        for row in range(first_row, last_row + 1):
            for slot in range(starts[row * width + first_column], starts[row * width + last_column + 1]):
                k = order[slot]
                v = vertex_ids[k]
                limit = np.float64(xyz[v, 2]) - tolerance
                if not visible[k] or not nearest < limit or v == a or v == b or v == c:
                    continue
                px, py = np.float64(xyz[v, 0]), np.float64(xyz[v, 1])
                w0 = sign * _edge(bx, by, cx, cy, px, py)
                w1 = sign * _edge(cx, cy, ax, ay, px, py)
                w2 = sign * _edge(ax, ay, bx, by, px, py)
                total = w0 + w1 + w2
                if w0 < 0.0 or w1 < 0.0 or w2 < 0.0 or not total > 0.0:
                    continue
                if (w0 * az + w1 * bz + w2 * cz) / total < limit:
                    visible[k] = False
