"""The page of an evaluation: tables, errors on the body, curves, and the worst people, in one HTML file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import cv2
import numpy as np

from meshpose_plugins.rendering import overlay_mesh
from meshpose_plugins.rendering.overlay import check_image
from meshpose_plugins.templates import MeshTemplate

from .colors import iuv_colors
from ..files import write_atomically
from .part_errors import draw_part_errors
from .training import PREDICTION_COLOR, TRUTH_COLOR, with_title

PANEL_HEIGHT = 320
MARGIN = 0.15  # of the longer side, around what an instance's picture has to show
LARGEST_WINDOW = 3.0  # times the person: a prediction that is far off does not make the rest tiny
PAPER = 235


@dataclass
class ReportInstance:
    """One person for the page; everything is in image px, and whatever is None is not drawn.

    Args:
        caption: the line below the picture, e.g. the image's name and the error.
        image: (H, W, 3) uint8 RGB.
        box: (4,) x1, y1, x2, y2.
        predicted: (V, 3) or (N, 3) predicted vertices, of the template or of its full body.
        iuv: (h, w, 3) uint8 predicted DensePose map of the box, as in the predictions file.
        true: (V, 3) or (N, 3) true vertices.
        points_xy: (P, 2) annotated pixels.
        point_scores: (P,) how well each point is met, 1 (green) to 0 (red); drawn on the prediction too.
    """

    caption: str
    image: np.ndarray | None = None
    box: np.ndarray | None = None
    predicted: np.ndarray | None = None
    iuv: np.ndarray | None = None
    true: np.ndarray | None = None
    points_xy: np.ndarray | None = None
    point_scores: np.ndarray | None = None


@dataclass
class ReportCurves:
    """One diagram for the page.

    Args:
        title: above the diagram.
        x_label, y_label: with units.
        lines: name -> x (N,) and y (N,).
    """

    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]]


def write_report(
    out: str | Path,
    title: str,
    tables: Mapping[str, Sequence[Sequence]] | None = None,
    notes: Mapping[str, str] | None = None,
    part_errors: Mapping[str, Mapping[str, float]] | None = None,
    curves: Sequence[ReportCurves] = (),
    instances: Sequence[ReportInstance] = (),
    template: MeshTemplate | None = None,
    name: str = "report.html",
) -> Path:
    """Writes OUT/report.html, which needs no other file, and its pictures as OUT/pictures/*.png.

    Args:
        out: folder, made if it is missing.
        title: of the page.
        tables: title -> rows, the first of which is the head; numbers are printed with four digits.
        notes: what has to be said beside the numbers (protocol, kappa, scale rule): name -> text.
        part_errors: "quantity, unit" -> part name -> error, see :func:`draw_part_errors`.
        curves: diagrams; drawn with matplotlib, which is imported only then.
        instances: people, usually the worst ones, in the order of the page.
        template: needed for part errors and for people with meshes.
        name: of the file.

    Returns:
        The path of the page.

    Raises:
        ValueError: part errors or meshes without a template, unknown parts, meshes of another template.
        ImportError: curves without matplotlib, naming what to install.
    """
    out = Path(out)
    sections = [_notes_section(notes or {})]
    sections += [_table_section(heading, rows) for heading, rows in (tables or {}).items()]
    for index, (heading, errors) in enumerate((part_errors or {}).items()):
        picture = draw_part_errors(
            errors, _needed(template, "part errors"), heading.rpartition(",")[2].strip()
        )
        rows = [("part", "error"), *sorted(errors.items(), key=lambda item: -np.nan_to_num(item[1]))]
        figure = _figure(out / "pictures" / f"parts_{index + 1}.png", _png(picture), "")
        sections.append(f'<h2>{html.escape(heading)}</h2><div class="row">{figure}{_table(rows)}</div>')
    diagrams = [
        _figure(out / "pictures" / f"curves_{index + 1}.png", draw_curves(diagram), "")
        for index, diagram in enumerate(curves)
    ]
    if diagrams:
        sections.append(f'<h2>Curves</h2><div class="row">{"".join(diagrams)}</div>')
    people = [
        _figure(
            out / "pictures" / f"instance_{index + 1:02d}.png",
            _png(draw_instance(instance, template)),
            instance.caption,
        )
        for index, instance in enumerate(instances)
    ]
    if people:
        sections.append(f'<h2>Worst instances</h2><div class="row">{"".join(people)}</div>')
    page = resources.files(__package__).joinpath("assets/report.html").read_text(encoding="utf-8")
    # In this order, so that a title cannot contain a place to fill.
    head, foot = page.split("{{sections}}")
    page = head.replace("{{title}}", html.escape(title)) + "\n".join(sections) + foot
    return write_atomically(out / name, page.encode("utf-8"))


def draw_instance(
    instance: ReportInstance, template: MeshTemplate | None, height: int = PANEL_HEIGHT
) -> np.ndarray:
    """Draws the image, the truth and the prediction of one person side by side.

    Args:
        instance: the person.
        template: of the vertices; may be None for people without any.
        height: of the panels in px.

    Returns:
        (height + title, width, 3) uint8 RGB.

    Raises:
        ValueError: vertices without a template or of another one, or nothing that says where the person is.
    """
    left, top, right, bottom = _window(instance)
    canvas = _cut(instance.image, left, top, right, bottom)
    scale = height / (bottom - top)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = cv2.resize(canvas, (max(1, round((right - left) * scale)), height), interpolation=method)

    def place(xyz: np.ndarray) -> np.ndarray:
        """From image px to px of the panel (pixel centres are whole numbers in both)."""
        placed = np.asarray(xyz, np.float32) * np.float32(scale)
        placed[..., :2] += np.float32((0.5 - np.array([left, top])) * scale - 0.5)
        return placed

    truth = prediction = canvas
    if instance.true is not None:
        truth = _mesh_over(canvas, place(instance.true), template, TRUTH_COLOR)
    if instance.iuv is not None:
        prediction = _iuv_over(canvas, instance, place, scale)
    if instance.predicted is not None:
        prediction = _mesh_over(canvas, place(instance.predicted), template, PREDICTION_COLOR)
    if instance.points_xy is not None and len(instance.points_xy):
        points = place(instance.points_xy)
        truth = _points_over(truth, points, None)
        if instance.point_scores is not None:
            prediction = _points_over(prediction, points, np.asarray(instance.point_scores))
    panels = [(canvas, "image"), (truth, "truth"), (prediction, "prediction")]
    return np.concatenate([with_title(picture, text) for picture, text in panels], axis=1)


def draw_curves(diagram: ReportCurves) -> bytes:
    """Draws a diagram; returns a PNG.

    Raises:
        ImportError: without matplotlib, naming what to install.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("curves need matplotlib: pip install matplotlib") from None
    figure = Figure(figsize=(5.2, 3.8), dpi=110)
    axes = figure.add_subplot()
    for label, (x, y) in diagram.lines.items():
        axes.plot(x, y, label=label)
    axes.set(title=diagram.title, xlabel=diagram.x_label, ylabel=diagram.y_label)
    axes.grid(alpha=0.3)
    if len(diagram.lines) > 1:
        axes.legend(fontsize=8)
    figure.tight_layout()
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_png(stream)
    return stream.getvalue()


def _window(instance: ReportInstance) -> tuple[int, int, int, int]:
    """The part of the image to show: x1, y1, x2, y2 in whole px, at least one px wide and high."""
    corners = None if instance.box is None else np.asarray(instance.box, np.float64).reshape(2, 2)
    given = (corners, instance.true, instance.points_xy, instance.predicted)
    shown = [np.asarray(points, np.float64)[:, :2] for points in given if points is not None and len(points)]
    shown = [points[np.isfinite(points).all(1)] for points in shown]
    shown = [points for points in shown if len(points)]
    if not shown:
        raise ValueError(f"{instance.caption}: no box, vertices or points say where the person is")
    low, high = np.min([points.min(0) for points in shown], 0), np.max([points.max(0) for points in shown], 0)
    person_low, person_high = shown[0].min(0), shown[0].max(0)  # the box where there is one
    center, half = (person_low + person_high) / 2, (person_high - person_low).max() * LARGEST_WINDOW / 2
    low, high = np.maximum(low, center - max(half, 12)), np.minimum(high, center + max(half, 12))
    margin = MARGIN * max((high - low).max(), 8)
    left, top = np.floor(low - margin).astype(int)
    right, bottom = np.ceil(high + margin).astype(int) + 1
    return int(left), int(top), int(right), int(bottom)


def _cut(image: np.ndarray | None, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """The window of an image, on paper where it reaches over the border (or where there is no image)."""
    cut = np.full((bottom - top, right - left, 3), PAPER, np.uint8)
    if image is not None:
        image = check_image(image)
        x1, y1 = max(left, 0), max(top, 0)
        x2, y2 = min(right, image.shape[1]), min(bottom, image.shape[0])
        if x1 < x2 and y1 < y2:
            cut[y1 - top : y2 - top, x1 - left : x2 - left] = image[y1:y2, x1:x2]
    return cut


def _mesh_over(
    canvas: np.ndarray, vertices: np.ndarray, template: MeshTemplate | None, color: tuple
) -> np.ndarray:
    template = _needed(template, "meshes")
    faces = {template.num_vertices: template.faces, template.num_body_vertices: template.surface.faces}
    if len(vertices) not in faces:
        counts = " or ".join(map(str, faces))
        raise ValueError(f"template '{template.name}' needs {counts} vertices, got {len(vertices)}")
    return overlay_mesh(canvas, vertices, faces[len(vertices)], color=color)


def _iuv_over(canvas: np.ndarray, instance: ReportInstance, place, scale: float) -> np.ndarray:
    """The canvas with a DensePose map over it."""
    if instance.box is None:
        raise ValueError(f"{instance.caption}: an iuv map needs a box")
    height, width = instance.iuv.shape[:2]
    corner = np.trunc(np.asarray(instance.box, np.float64)[:2])
    # The map's top left corner lies half a pixel before its first pixel's centre.
    x, y = np.rint(place(corner - 0.5) + 0.5).astype(int)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    iuv = cv2.resize(instance.iuv, size, interpolation=cv2.INTER_NEAREST)
    colors = 255 * iuv_colors(np.concatenate([iuv[..., :1], iuv[..., 1:] / np.float32(255)], axis=-1))
    picture = canvas.copy()
    x1, y1, x2, y2 = (
        max(x, 0),
        max(y, 0),
        min(x + size[0], canvas.shape[1]),
        min(y + size[1], canvas.shape[0]),
    )
    if x1 < x2 and y1 < y2:
        region = picture[y1:y2, x1:x2]
        inside = (slice(y1 - y, y2 - y), slice(x1 - x, x2 - x))
        body = iuv[inside][..., 0] > 0
        region[body] = np.rint(0.2 * region[body] + 0.8 * colors[inside][body]).astype(np.uint8)
    return picture


def _points_over(canvas: np.ndarray, points: np.ndarray, scores: np.ndarray | None) -> np.ndarray:
    """The canvas with points (P, 2), green, or from green (score 1) to red (score 0)."""
    picture = canvas.copy()
    scores = np.ones(len(points)) if scores is None else np.clip(np.nan_to_num(scores), 0, 1)
    for (x, y), score in zip(points, scores):
        center = (int(round(float(x))), int(round(float(y))))
        color = (int(235 * min(1, 2 - 2 * score)), int(220 * min(1, 2 * score)), 60)
        cv2.circle(picture, center, 3, (20, 20, 20), -1, cv2.LINE_AA)
        cv2.circle(picture, center, 2, color, -1, cv2.LINE_AA)
    return picture


def _needed(template: MeshTemplate | None, what: str) -> MeshTemplate:
    if template is None:
        raise ValueError(f"write_report needs a template to draw {what}")
    return template


def _png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes()


def _figure(path: Path, png: bytes, caption: str) -> str:
    """Writes a picture, and returns it as HTML that holds it."""
    write_atomically(path, png)
    data = base64.b64encode(png).decode("ascii")
    text = html.escape(caption)
    image = f'<img alt="{text}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"


def _notes_section(notes: Mapping[str, str]) -> str:
    items = "".join(f"<dt>{html.escape(str(k))}</dt><dd>{html.escape(str(v))}</dd>" for k, v in notes.items())
    return f"<dl>{items}</dl>" if items else ""


def _table_section(heading: str, rows: Sequence[Sequence]) -> str:
    return f"<h2>{html.escape(heading)}</h2>{_table(rows)}"


def _table(rows: Sequence[Sequence]) -> str:
    def line(row: Sequence, tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{_cell(value)}</{tag}>" for value in row) + "</tr>"

    head, *body = rows
    return f'<table>{line(head, "th")}{"".join(line(row, "td") for row in body)}</table>'


def _cell(value) -> str:
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else html.escape(str(value))
