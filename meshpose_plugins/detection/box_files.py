"""Files of boxes: by image name, as COCO annotations, or as the COCO results that detectors write."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from meshpose_plugins.data.affine import clip_to_image
from meshpose_plugins.data.coco import (
    PERSON,
    PERSON_ID,
    check_frame,
    checked_id,
    checked_number,
    images_by_id,
    is_finite_number,
    person_ids,
    read_json,
)
from meshpose_plugins.detection.boxes import xywh_to_xyxy
from meshpose_plugins.files import read_json_file


def read_detections(
    path: str | Path, images: str | Path | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read the boxes of many images, and their scores, from a JSON file.

    Args:
        path: {"photo.jpg": [[x, y, w, h], ...], ...}, a COCO file (images with file_name, annotations with
            image_id and bbox; crowds are left out), or COCO results, a list of {image_id, category_id, bbox,
            score}, as detectors write them. Of the latter two the category ``person`` (1 where no file names
            it) is taken.
        images: COCO file whose images name the image_ids of COCO results; not needed where these are file
            names.

    Returns:
        image file name (without folders) -> (P, 4) float32 x0, y0, x1, y1 px, and (P,) float32 scores (1
        where the file has none). All images of ``images`` are there, those without a detection with 0 boxes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, the field and the value.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'boxes file {path} does not exist')
    content = read_json_file(path)
    if isinstance(content, list):
        rows = _result_rows(content, path, images)
    elif isinstance(content, dict):
        is_coco = 'annotations' in content
        rows = _coco_rows(path, check_frame(content, path)) if is_coco else _plain_rows(path, content)
    else:
        raise ValueError(
            f'{path}: expected an object, image name -> list of [x, y, w, h], or a list of COCO results, '
            f'got {type(content).__name__}'
        )
    return {Path(name).name: found for name, found in rows.items()}


@dataclass(frozen=True)
class PersonResult:
    """One person of COCO results.

    Args:
        image_id: of the results.
        box: (4,) float32 x0, y0, x1, y1 px.
        score: finite.
        file_name: of the image; '' where no file names it.
    """

    image_id: int | str
    box: np.ndarray
    score: float
    file_name: str = ''


def read_person_results(
    path: str | Path, annotation_file: str | Path, problems: list[str]
) -> list[PersonResult]:
    """Read the people of COCO results that lie in the images of an annotation file.

    Args:
        path: JSON list of {image_id, category_id, bbox, score}.
        annotation_file: COCO-style JSON with the images; its categories say which id 'person' has.
        problems: where results that cannot be used are named, which are left out: a broken one, of an image
            that is not there, or outside its image.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is broken as a whole.
    """
    content = read_json_file(path, 'file of detections')
    if not isinstance(content, list):
        raise ValueError(f'{path}: must hold a list of detections, got {type(content).__name__}')
    annotated = read_json(annotation_file)
    images = images_by_id(annotated, annotation_file, problems)
    people = []
    for result in _people(content, path, person_ids(annotated, annotation_file), problems):
        try:
            people.append(_in_image(result, images, path, annotation_file))
        except ValueError as error:
            problems.append(str(error))
    return people


def _in_image(
    result: PersonResult, images: dict, path: str | Path, annotation_file: str | Path
) -> PersonResult:
    """The result with its image's name; a ValueError where there is no such image, or the box is outside."""
    image = images.get(result.image_id)
    if image is None:
        raise ValueError(f'{path}: image_id {result.image_id!r} is not among the images of {annotation_file}')
    where = f'{annotation_file}: image {result.image_id!r}'
    size = tuple(checked_number(image, name, where) or 0 for name in ('width', 'height'))
    if clip_to_image(result.box, size) is None:
        x0, y0, x1, y1 = result.box.tolist()
        raise ValueError(
            f'{path}: bbox from ({x0:g}, {y0:g}) to ({x1:g}, {y1:g}) lies outside image {result.image_id!r}'
        )
    return replace(result, file_name=image['file_name'])


def _people(
    content: list, path: str | Path, people: Collection, problems: list[str] | None = None
) -> Iterator[PersonResult]:
    """Yield the people of COCO results; unusable ones are named in the problems, or without these raised.

    Raises:
        ValueError: also where there are results, but all of other categories.
    """
    others = 0
    for position, result in enumerate(content):
        try:
            found = _person(result, f'{path}: result {position}', people)
        except ValueError as error:
            if problems is None:
                raise
            problems.append(str(error))
            continue
        if found is None:
            others += 1
            continue
        yield found
    if others and others == len(content):
        raise ValueError(f"{path}: all {others} results are of other categories than {_people_are(people)}")


def _people_are(people: Collection) -> str:
    """Words for the categories that are read."""
    return f"'{PERSON}' (category_id {', '.join(map(repr, people)) or 'not there'})"


def _person(result: dict, where: str, people: Collection) -> PersonResult | None:
    """One checked result; None for another category."""
    for name in ('image_id', 'category_id', 'bbox', 'score'):
        if not isinstance(result, dict) or name not in result:
            raise ValueError(f'{where}: field {name!r} is missing')
    if checked_id(result, 'category_id', where) not in people:
        return None
    score = result['score']
    if not is_finite_number(score):
        raise ValueError(f'{where}: score must be a finite number, got {str(score)[:80]}')
    box = xywh_to_xyxy(result['bbox'], f'{where}: bbox')
    return PersonResult(checked_id(result, 'image_id', where), box, float(score))


def _result_rows(
    content: list, path: Path, images: str | Path | None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The boxes and the scores of COCO results by image file name."""
    names, people = {}, {PERSON_ID}
    if images is not None:
        annotated = read_json(images)
        names = {key: image['file_name'] for key, image in images_by_id(annotated, images).items()}
        people = person_ids(annotated, images)
    rows = {name: [] for name in names.values()}
    for result in _people(content, path, people):
        name = names.get(result.image_id, result.image_id)
        if not isinstance(name, str) or (names and name not in rows):
            raise ValueError(
                f'{path}: image_id {result.image_id!r} '
                + (
                    f'is not among the images of {images}'
                    if names
                    else 'is no file name: give the file that names the images (--boxes-images FILE)'
                )
            )
        rows.setdefault(name, []).append((result.box, result.score))
    return {name: _arrays(found) for name, found in rows.items()}


def _coco_rows(path: Path, content: dict) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The boxes of a COCO file by image file name."""
    names = {key: image['file_name'] for key, image in images_by_id(content, path).items()}
    people = person_ids(content, path)
    rows, others = {name: [] for name in names.values()}, 0
    for position, annotation in enumerate(content['annotations']):
        where = f'{path}: annotations[{position}]'
        for name in ('image_id', 'bbox'):
            if not isinstance(annotation, dict) or name not in annotation:
                raise ValueError(f'{where}: field {name!r} is missing')
        where += f' (id {annotation.get("id")!r})'
        # A file of people alone may leave the category out.
        is_other = annotation.get('category_id') is not None and (
            checked_id(annotation, 'category_id', where) not in people
        )
        others += is_other
        if is_other or annotation.get('iscrowd'):
            continue
        image = checked_id(annotation, 'image_id', where)
        if image not in names:
            raise ValueError(f'{where}: no image has id {image!r}')
        rows[names[image]].append((xywh_to_xyxy(annotation['bbox'], f'{where}: bbox'), 1.0))
    if others and others == len(content['annotations']):
        raise ValueError(f"{path}: all {others} boxes are of other categories than {_people_are(people)}")
    return {name: _arrays(found) for name, found in rows.items()}


def _plain_rows(path: Path, content: dict) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The boxes of a file that lists them by image file name."""
    rows = {}
    for name, items in content.items():
        if not isinstance(items, list):
            raise ValueError(f'{path}: {name!r}: expected a list of [x, y, w, h], got {str(items)[:80]}')
        rows[name] = _arrays(
            [(xywh_to_xyxy(box, f'{path}: {name!r}: bbox {k}'), 1.0) for k, box in enumerate(items)]
        )
    return rows


def _arrays(found: list[tuple[np.ndarray, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (P, 4) float32 and scores (P,) float32."""
    boxes = np.asarray([corners for corners, _ in found], np.float32).reshape(-1, 4)
    return boxes, np.asarray([score for _, score in found], np.float32)
