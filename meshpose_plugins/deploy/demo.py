"""From photographs to files that people look at, whatever framework the network comes from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Protocol

import cv2
import numpy as np
from rich.progress import Progress

from meshpose_plugins.deploy.images import list_images, read_image
from meshpose_plugins.detection import PersonDetector, check_boxes, read_boxes
from meshpose_plugins.evaluation.predictions import PredictionRecord, save_predictions
from meshpose_plugins.templates import MeshTemplate
from meshpose_plugins.visualization import draw_panels, save_person, write_viewer
from meshpose_plugins.visualization.files import write_atomically


class MeshPredictor(Protocol):
    """What the demo needs of a network, e.g. `MeshPoseInferencer`."""

    template: MeshTemplate

    def predict(
        self, image: np.ndarray, name: str, boxes: np.ndarray, scores: np.ndarray
    ) -> list[PredictionRecord]:
        """The people of one RGB image as records with image id `name`, one per box x0, y0, x1, y1."""
        ...


@dataclass
class DemoSummary:
    """What a demo run did.

    Args:
        out: the folder of the results.
        predictions: the predictions file.
        people: image name -> number of people.
        notes: things worth knowing, e.g. clipped boxes.
        failures: image name -> why it was skipped.
    """

    out: Path
    predictions: Path
    people: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def run_demo(
    predictor: MeshPredictor,
    source: str | Path,
    out: str | Path,
    detector: PersonDetector,
    boxes: np.ndarray | None = None,
    boxes_file: str | Path | None = None,
    formats: tuple[str, ...] = ('obj', 'ply', 'glb'),
    predictions_format: str = 'npz',
    wireframe: bool = False,
) -> DemoSummary:
    """Predict and draw the people of an image or of a folder of images.

    Writes OUT/overlays/NAME.jpg (input, mesh, side view, IUV), OUT/viewers/NAME.html,
    OUT/meshes/NAME_personK.* and OUT/predictions.npz or .json. An image that fails is skipped and listed in the summary.

    Args:
        predictor: the network.
        source: an image, or a folder of images.
        out: folder for the results; files of an earlier run with the same names are replaced.
        detector: asked where no boxes are given.
        boxes: (P, 4) x0, y0, x1, y1 px, only for a single image.
        boxes_file: JSON file with boxes by image name, see `read_boxes`; other images go to the detector.
        formats: mesh formats, any of obj, ply, glb.
        predictions_format: npz or json.
        wireframe: whether to draw the low-poly edges over the meshes.

    Returns:
        the summary.

    Raises:
        FileNotFoundError, ValueError: if nothing can be started: naming the file or option.
    """
    images = list_images(source)
    given = _given_boxes(source, boxes, boxes_file)
    summary = _new_summary(Path(out), predictions_format)
    stems, records = _unique_stems(images), []

    def run_one(path: Path) -> None:
        image, name = read_image(path), path.name
        people = predictor.predict(
            image, name, *_find_people(image, name, detector, given.get(name), summary.notes)
        )
        write_image_results(out, stems[path], image, people, predictor.template, formats, wireframe)
        records.extend(people)
        summary.people[name] = len(people)

    try:
        _for_each(images, run_one, summary.failures)
    finally:  # also when somebody stops it
        if summary.people:
            save_predictions(summary.predictions, records)
    return summary


def write_image_results(
    out: str | Path,
    stem: str,
    image: np.ndarray,
    people: list[PredictionRecord],
    template: MeshTemplate,
    formats: tuple[str, ...] = ('obj', 'ply', 'glb'),
    wireframe: bool = False,
) -> list[Path]:
    """Write what people look at for one image.

    Args:
        out: folder for the results.
        stem: name of the files, without ending.
        image: (H, W, 3) uint8 RGB.
        people: its records.
        template: of the records.
        formats: mesh formats, any of obj, ply, glb.
        wireframe: whether to draw the low-poly edges over the meshes.

    Returns:
        the files: overlay, viewer, meshes.
    """
    out = Path(out)
    vertices = [person.vertices for person in people]
    boxes = np.asarray([person.box for person in people], np.float32).reshape(-1, 4)
    picture = draw_panels(image, vertices, template, boxes=boxes, wireframe=wireframe)
    done, jpeg = cv2.imencode(
        '.jpg', np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 92]
    )
    if not done:
        raise ValueError(
            f'{stem}: OpenCV cannot encode a picture of {picture.shape[1]} x {picture.shape[0]} px'
        )
    files = [
        write_atomically(out / 'overlays' / f'{stem}.jpg', jpeg.tobytes()),
        write_viewer(out / 'viewers' / f'{stem}.html', vertices, template, image=image, title=stem),
    ]
    for person in people:
        files += save_person(
            out / 'meshes' / f'{stem}_person{person.instance_id}', person.vertices, template, formats
        )
    return files


def _new_summary(out: Path, predictions_format: str) -> DemoSummary:
    """The summary of a run that begins."""
    if predictions_format not in ('npz', 'json'):
        raise ValueError(f'predictions_format: expected npz or json, got {predictions_format!r}')
    return DemoSummary(out, out / f'predictions.{predictions_format}')


def _given_boxes(
    source: str | Path, boxes: np.ndarray | None, boxes_file: str | Path | None
) -> dict[str, np.ndarray]:
    """Image name -> the boxes that the user gives for it."""
    if boxes is not None and Path(source).is_dir():
        raise ValueError(
            f'bbox: boxes belong to one image, but {source} is a folder: use --boxes FILE.json '
            f'({{"image.jpg": [[x, y, w, h], ...], ...}})'
        )
    given = {} if boxes_file is None else read_boxes(boxes_file)
    return given if boxes is None else {**given, Path(source).name: boxes}


def _find_people(
    image: np.ndarray, name: str, detector: PersonDetector, boxes: np.ndarray | None, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and scores: the given boxes, checked and clipped, or the detector's."""
    if boxes is None:
        boxes, scores = detector.detect(image)
        if len(boxes) == 0:
            notes.append(
                f'{name}: the detector found nobody; give boxes with --bbox, or use --detector whole-image'
            )
        return boxes, scores
    boxes, clipped = check_boxes(boxes, image.shape[1], image.shape[0], name)
    notes.extend(clipped)
    return boxes, np.ones(len(boxes), np.float32)


def _unique_stems(images: list[Path]) -> dict[Path, str]:
    """Names of the result files: the image's stem, with the ending where two images differ only by it."""
    counts = Counter(path.stem for path in images)
    return {path: path.stem if counts[path.stem] == 1 else path.name.replace('.', '_') for path in images}


def _for_each(images: list[Path], run_one: Callable[[Path], None], failures: dict[str, str]) -> None:
    """Run all images under a progress bar; a bad one is noted and skipped."""
    with Progress(transient=True, disable=len(images) == 1) as progress:
        task = progress.add_task('images', total=len(images))
        for path in images:
            progress.update(task, description=path.name)
            try:
                run_one(path)
            except (FileNotFoundError, ValueError) as error:  # they name the file and the reason
                failures[path.name] = str(error)
            except Exception as error:  # whatever breaks one image, the others are still worth having
                failures[path.name] = f'{type(error).__name__}: {error}'
            progress.advance(task)
