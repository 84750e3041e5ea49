"""From photographs to files that people look at, whatever framework the network comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Protocol

import cv2
import numpy as np
from rich.progress import Progress

from meshpose_plugins.deploy.images import list_images, read_image
from meshpose_plugins.detection import PersonDetector, check_boxes, read_detections
from meshpose_plugins.evaluation.predictions import PredictionRecord, save_predictions
from meshpose_plugins.templates import MeshTemplate
from meshpose_plugins.visualization import draw_panels, save_person, write_viewer
from meshpose_plugins.files import write_atomically


@dataclass
class ImagePeople:
    """One image and the boxes of its people.

    Args:
        image: (H, W, 3) uint8 RGB.
        name: becomes the image id of its records.
        boxes: (P, 4) x0, y0, x1, y1 px; None leaves finding the people to the network.
        scores: (P,) of the boxes.
    """

    image: np.ndarray
    name: str
    boxes: np.ndarray | None = None
    scores: np.ndarray | None = None


class MeshPredictor(Protocol):
    """What the demo needs of a network, e.g. `MeshPoseInferencer`."""

    template: MeshTemplate

    def predict_images(self, items: Sequence[ImagePeople]) -> list[list[PredictionRecord]]:
        """The people of several images as records, one list per image, in the order of its boxes."""
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
    detector: PersonDetector | None,
    boxes: np.ndarray | None = None,
    boxes_file: str | Path | None = None,
    formats: tuple[str, ...] = ('obj', 'ply', 'glb'),
    predictions_format: str = 'npz',
    wireframe: bool = False,
    boxes_images: str | Path | None = None,
    batch_size: int = 1,
    pictures: bool = True,
) -> DemoSummary:
    """Predict and draw the people of an image or of a folder of images.

    Writes OUT/overlays/NAME.jpg (input, mesh, side view, IUV), OUT/viewers/NAME.html,
    OUT/meshes/NAME_personK.* and OUT/predictions.npz or .json. An image that fails is skipped and listed in
    the summary.

    Args:
        predictor: the network.
        source: an image, or a folder of images.
        out: folder for the results; files of an earlier run with the same names are replaced.
        detector: asked where no boxes are given; None: the network finds the people itself.
        boxes: (P, 4) x0, y0, x1, y1 px, only for a single image.
        boxes_file: JSON file with boxes by image name, see `read_detections`; other images go to the
            detector.
        formats: mesh formats, any of obj, ply, glb.
        predictions_format: npz or json.
        wireframe: whether to draw the low-poly edges over the meshes.
        boxes_images: COCO file that names the images of a boxes_file of COCO results.
        batch_size: images whose people go through the network together.
        pictures: False writes the predictions file alone.

    Returns:
        the summary.

    Raises:
        FileNotFoundError, ValueError: if nothing can be started: naming the file or option.
    """
    if batch_size < 1:
        raise ValueError(f'batch_size must be 1 or more, got {batch_size}')
    images = list_images(source)
    given = _given_boxes(source, boxes, boxes_file, boxes_images)
    summary = _new_summary(Path(out), predictions_format)
    summary.notes += _unmatched(boxes_file, given, images)
    stems, records = _unique_stems(images), []

    def find(path: Path) -> ImagePeople:
        image, name = read_image(path), path.name
        return _find_people(image, name, detector, given.get(name), summary.notes)

    def finish(path: Path, item: ImagePeople, people: list[PredictionRecord]) -> None:
        if pictures:
            write_image_results(out, stems[path], item.image, people, predictor.template, formats, wireframe)
        if not people and item.boxes is None:
            summary.notes.append(f'{item.name}: the network found nobody')
        records.extend(people)
        summary.people[item.name] = len(people)

    try:
        _for_each_batch(images, batch_size, find, predictor, finish, summary.failures)
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
    source: str | Path,
    boxes: np.ndarray | None,
    boxes_file: str | Path | None,
    boxes_images: str | Path | None,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Image name -> the boxes that the user gives for it, and their scores."""
    if boxes is not None and Path(source).is_dir():
        raise ValueError(
            f'bbox: boxes belong to one image, but {source} is a folder: use --boxes FILE.json '
            f'({{"image.jpg": [[x, y, w, h], ...], ...}})'
        )
    if boxes_images is not None and boxes_file is None:
        raise ValueError(
            f'--boxes-images {boxes_images} names the images of a file of boxes: give --boxes too'
        )
    given = {} if boxes_file is None else read_detections(boxes_file, boxes_images)
    if boxes is None:
        return given
    return {**given, Path(source).name: (boxes, np.ones(len(boxes), np.float32))}


def _unmatched(boxes_file: str | Path | None, given: Collection[str], images: list[Path]) -> list[str]:
    """A note where a file has boxes for images that are not there, and images are there without boxes."""
    names = {path.name for path in images}
    absent, without = sorted(set(given) - names), sorted(names - set(given))
    if boxes_file is None or not absent or not without:
        return []
    return [
        f'{boxes_file} has no boxes for {without[0]} ({len(without)} of {len(names)} images), but for '
        f'{absent[0]}, which is not there ({len(absent)} such names)'
    ]


def _find_people(
    image: np.ndarray,
    name: str,
    detector: PersonDetector | None,
    given: tuple[np.ndarray, np.ndarray] | None,
    notes: list[str],
) -> ImagePeople:
    """The image with its boxes: the given ones, checked and clipped, or the detector's, or none."""
    if given is not None:
        boxes, clipped = check_boxes(given[0], image.shape[1], image.shape[0], name)
        notes.extend(clipped)
        return ImagePeople(image, name, boxes, given[1])
    if detector is None:
        return ImagePeople(image, name)
    boxes, scores = detector.detect(image)
    if len(boxes) == 0:
        notes.append(
            f'{name}: the detector found nobody; give boxes with --bbox, or use --detector whole-image'
        )
    return ImagePeople(image, name, boxes, scores)


def _unique_stems(images: list[Path]) -> dict[Path, str]:
    """Names of the result files: the image's stem, with the ending where two images differ only by it."""
    counts = Counter(path.stem for path in images)
    return {path: path.stem if counts[path.stem] == 1 else path.name.replace('.', '_') for path in images}


def _for_each_batch(
    images: list[Path],
    batch_size: int,
    find: Callable[[Path], ImagePeople],
    predictor: MeshPredictor,
    finish: Callable[[Path, ImagePeople, list[PredictionRecord]], None],
    failures: dict[str, str],
) -> None:
    """Run all images under a progress bar; a bad one is noted and skipped, the others of its batch go on."""
    with Progress(transient=True, disable=len(images) == 1) as progress:
        task = progress.add_task('images', total=len(images))
        for start in range(0, len(images), batch_size):
            paths = images[start : start + batch_size]
            progress.update(task, description=paths[0].name)
            found = {}
            for path in paths:
                with _noted(path, failures):
                    found[path] = find(path)
            for path, people in _predict_together(predictor, found, failures).items():
                with _noted(path, failures):
                    finish(path, found[path], people)
            progress.advance(task, len(paths))


def _predict_together(
    predictor: MeshPredictor, found: dict[Path, ImagePeople], failures: dict[str, str]
) -> dict[Path, list[PredictionRecord]]:
    """Records of a batch of images; if it fails as a whole, each image has a try of its own."""
    try:
        return dict(zip(found, predictor.predict_images(list(found.values()))))
    except Exception:
        people = {}
        for path, item in found.items():
            with _noted(path, failures):
                people[path] = predictor.predict_images([item])[0]
        return people


@contextmanager
def _noted(path: Path, failures: dict[str, str]):
    """Note an error of one image: whatever breaks it, the others are still worth having."""
    try:
        yield
    except (FileNotFoundError, ValueError) as error:  # they name the file and the reason
        failures[path.name] = str(error)
    except Exception as error:
        failures[path.name] = f'{type(error).__name__}: {error}'
