"""Small writers for OBJ, PLY and GLB.

Every file begins with the vertices in the order given, so that an index means the same point of the body
everywhere.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from meshpose_plugins.rendering import vertex_normals
from meshpose_plugins.rendering.checks import as_faces, as_vertices

from ..files import write_atomically


def write_obj(
    path: str | Path,
    vertices: np.ndarray,  # (N, 3)
    faces: np.ndarray,  # (M, 3)
    corner_uv: np.ndarray | None = None,  # (M, 3, 2)
) -> Path:
    """Writes a Wavefront OBJ with normals and, where given, texture coordinates.

    ``v`` and ``vn`` lines are in the order of ``vertices``; ``vt`` lines have an order of their own, because
    a vertex on the border of a chart has several.

    Args:
        path: file to write.
        vertices: (N, 3) finite positions, y up.
        faces: (M, 3) vertex ids.
        corner_uv: (M, 3, 2) texture coordinates of each face's corners, origin bottom left, see
            :func:`atlas_uv`.

    Returns:
        The path.

    Raises:
        ValueError: wrong shapes, ids outside the mesh or positions that are not finite.
    """
    vertices, faces, corner_uv = _check_mesh(path, vertices, faces, corner_uv)
    normals = vertex_normals(vertices, faces)
    lines = ["# x right, y up, z towards the viewer; metres"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices.tolist()]
    lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in normals.tolist()]
    if corner_uv is None:
        lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in (faces + 1).tolist()]
    else:
        unique, index = np.unique(corner_uv.reshape(-1, 2), axis=0, return_inverse=True)
        lines += [f"vt {u:.6f} {v:.6f}" for u, v in unique.tolist()]
        corners = zip((faces + 1).tolist(), (index.reshape(-1, 3) + 1).tolist())
        lines += [f"f {a}/{s}/{a} {b}/{t}/{b} {c}/{u}/{c}" for (a, b, c), (s, t, u) in corners]
    return write_atomically(path, ("\n".join(lines) + "\n").encode("ascii"))


def write_ply(
    path: str | Path,
    vertices: np.ndarray,  # (N, 3)
    faces: np.ndarray,  # (M, 3)
    corner_uv: np.ndarray | None = None,  # (M, 3, 2)
) -> Path:
    """Writes a binary little-endian PLY with normals and, where given, texture coordinates (``s``, ``t``).

    PLY readers disagree on texture coordinates per face (some reorder the vertices), so they are given per
    vertex: the first N vertices are ``vertices`` in their order, and copies of the vertices on chart borders,
    with their further texture coordinates, follow. ``source_vertex`` is each vertex's id below N.

    Args:
        path: file to write.
        vertices: (N, 3) finite positions, y up.
        faces: (M, 3) vertex ids.
        corner_uv: (M, 3, 2) texture coordinates of each face's corners, origin bottom left.

    Returns:
        The path.

    Raises:
        ValueError: wrong shapes, ids outside the mesh or positions that are not finite.
    """
    vertices, faces, corner_uv = _check_mesh(path, vertices, faces, corner_uv)
    order, columns = np.arange(len(vertices)), ["x", "y", "z", "nx", "ny", "nz"]
    values = np.concatenate([vertices, vertex_normals(vertices, faces)], axis=1)
    if corner_uv is not None:
        faces, copied, uv = _split_borders(faces, corner_uv, len(vertices))
        order, columns = np.concatenate([order, copied]), columns + ["s", "t"]
        values = np.concatenate([values[order], uv], axis=1)
    points = np.zeros(len(order), dtype=[(name, "<f4") for name in columns] + [("source_vertex", "<i4")])
    for name, column in zip(columns, values.T):
        points[name] = column
    points["source_vertex"] = order
    triangles = np.zeros(len(faces), dtype=[("count", "u1"), ("ids", "<i4", (3,))])
    triangles["count"], triangles["ids"] = 3, faces
    header = ["ply", "format binary_little_endian 1.0", "comment x right, y up, z towards the viewer; metres"]
    header += (
        [f"element vertex {len(points)}"]
        + [f"property float {name}" for name in columns]
        + ["property int source_vertex"]
    )
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    head = ("\n".join(header) + "\n").encode("ascii")
    return write_atomically(path, head + points.tobytes() + triangles.tobytes())


def write_glb(
    path: str | Path,
    vertices: np.ndarray,  # (N, 3)
    faces: np.ndarray,  # (M, 3)
    corner_uv: np.ndarray | None = None,  # (M, 3, 2)
    name: str = "person",
) -> Path:
    """Writes a binary glTF 2.0 file with normals and, where given, texture coordinates.

    glTF has one texture coordinate per vertex. So the first N vertices are ``vertices`` in their order, and
    copies of the vertices on chart borders, with their further texture coordinates, follow. The mesh's
    ``extras`` say how many (``num_vertices``: N) and whose copies they are (``copied_vertices``: ids below N,
    one per copy).

    Args:
        path: file to write.
        vertices: (N, 3) finite positions, y up.
        faces: (M, 3) vertex ids.
        corner_uv: (M, 3, 2) texture coordinates of each face's corners, origin bottom left.
        name: name of the mesh in the file.

    Returns:
        The path.

    Raises:
        ValueError: wrong shapes, ids outside the mesh, positions that are not finite, or a mesh without a
            face.
    """
    vertices, faces, corner_uv = _check_mesh(path, vertices, faces, corner_uv)
    if not len(faces):
        raise ValueError(f"{path}: glTF cannot hold a mesh without faces")
    normals = vertex_normals(vertices, faces)
    normals[(normals == 0).all(axis=1)] = (0, 1, 0)  # glTF wants unit normals
    copied = np.zeros(0, dtype=np.int64)
    arrays = {}
    if corner_uv is not None:
        faces, copied, uv = _split_borders(faces, corner_uv, len(vertices))
        arrays["TEXCOORD_0"] = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1)  # glTF's origin is the top left
    order = np.concatenate([np.arange(len(vertices)), copied])
    arrays = {"POSITION": vertices[order], "NORMAL": normals[order], **arrays}
    extras = {"num_vertices": len(vertices), "copied_vertices": copied.tolist()}
    return write_atomically(path, _pack_glb(arrays, faces, name, extras))


def _pack_glb(arrays: dict[str, np.ndarray], faces: np.ndarray, name: str, extras: dict) -> bytes:
    views, accessors, blobs, offset = [], [], [], 0

    def add(array: np.ndarray, component: int, kind: str, target: int, limits: bool) -> int:
        nonlocal offset
        blob = array.tobytes()
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": len(blob), "target": target})
        accessor = {
            "bufferView": len(views) - 1,
            "componentType": component,
            "count": len(array),
            "type": kind,
        }
        if limits:
            accessor.update(min=array.min(axis=0).tolist(), max=array.max(axis=0).tolist())
        accessors.append(accessor)
        blobs.append(blob)
        offset += len(blob)  # every array is of four-byte numbers, so everything stays aligned
        return len(accessors) - 1

    attributes = {
        key: add(value.astype("<f4"), 5126, f"VEC{value.shape[1]}", 34962, key == "POSITION")
        for key, value in arrays.items()
    }
    indices = add(faces.reshape(-1).astype("<u4"), 5125, "SCALAR", 34963, False)
    document = {
        "asset": {"version": "2.0", "generator": "meshpose_plugins"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [
            {
                "name": name,
                "primitives": [{"attributes": attributes, "indices": indices, "material": 0}],
                "extras": extras,
            }
        ],
        "materials": [
            {
                "name": "body",
                "pbrMetallicRoughness": {
                    "baseColorFactor": [0.66, 0.78, 0.92, 1.0],
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.8,
                },
            }
        ],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": offset}],
    }
    text = json.dumps(document, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 4)
    binary = b"".join(blobs)
    chunks = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _split_borders(faces: np.ndarray, corner_uv: np.ndarray, num_vertices: int):
    """Gives every (vertex, texture coordinate) pair a vertex; a vertex's first pair keeps its id.

    Returns:
        faces (M, 3) with new ids, copied (K,) whose copies the ids from N on are, uv (N + K, 2).
    """
    keys = np.column_stack([faces.reshape(-1).astype(np.float64), corner_uv.reshape(-1, 2)])
    pairs, index = np.unique(keys, axis=0, return_inverse=True)
    owner = pairs[:, 0].astype(np.int64)  # sorted
    is_first = np.diff(owner, prepend=-1) != 0
    copied = owner[~is_first]
    new_ids = np.where(is_first, owner, num_vertices + np.cumsum(~is_first) - 1)
    uv = np.zeros((num_vertices + len(copied), 2), dtype=np.float32)
    uv[new_ids] = pairs[:, 1:]
    return new_ids[index.reshape(-1)].reshape(-1, 3), copied, uv


def _check_mesh(path, vertices, faces, corner_uv):
    vertices = as_vertices(vertices)
    faces = as_faces(faces, len(vertices))
    broken = int((~np.isfinite(vertices).all(axis=1)).sum())
    if broken:
        raise ValueError(f"{path}: {broken} of {len(vertices)} vertices are not finite; nothing was written")
    if corner_uv is not None:
        corner_uv = np.asarray(corner_uv, dtype=np.float32)
        if corner_uv.shape != (len(faces), 3, 2):
            raise ValueError(f"{path}: corner_uv must have shape ({len(faces)}, 3, 2), got {corner_uv.shape}")
    return vertices, faces, corner_uv
