"""Boxes that the user gives: one option string, or a JSON file for many images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from meshpose_plugins.data.coco import PERSON_ID, images_by_id, person_ids, read_json


def parse_bbox(text: str) -> np.ndarray:
    """Read one box written as x,y,w,h.

    Args:
        text: four numbers separated by commas, px of the image: left, top, width, height.

    Returns:
        (4,) float32: x0, y0, x1, y1.

    Raises:
        ValueError: naming the text and what is wrong with it.
    """
    parts = text.split(',')
    try:
        x, y, width, height = (float(part) for part in parts)
    except ValueError:
        raise ValueError(
            f'bbox: expected four numbers x,y,w,h (left, top, width, height in px), got {text!r}'
        ) from None
    return xywh_to_xyxy([x, y, width, height], f'bbox {text!r}')


def xywh_to_xyxy(box, source: str) -> np.ndarray:
    """Turn left, top, width, height into corners, and check them.

    Args:
        box: four numbers.
        source: where the box comes from, for messages.

    Returns:
        (4,) float32: x0, y0, x1, y1.

    Raises:
        ValueError: if it is not four finite numbers with a positive width and height.
    """
    try:
        box = np.asarray(box, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f'{source}: expected [x, y, w, h], got {box!r}') from None
    if box.shape != (4,) or not np.isfinite(box).all():
        raise ValueError(f'{source}: expected four finite numbers x, y, w, h, got {box.tolist()}')
    if box[2] <= 0 or box[3] <= 0:
        raise ValueError(f'{source}: width and height must be positive, got w={box[2]:g}, h={box[3]:g}')
    return np.concatenate([box[:2], box[:2] + box[2:]]).astype(np.float32)


def check_boxes(boxes: np.ndarray, width: int, height: int, source: str) -> tuple[np.ndarray, list[str]]:
    """Clip boxes to the image; a box that lies wholly outside is an error.

    Args:
        boxes: (P, 4) x0, y0, x1, y1 px.
        width: of the image, px.
        height: of the image, px.
        source: the image's name, for messages.

    Returns:
        boxes: (P, 4) float32 inside [0, width] x [0, height].
        notes: one sentence per box that was clipped.

    Raises:
        ValueError: naming the image, the box and the image's size.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    limit = np.asarray([width, height, width, height], np.float32)
    clipped = np.clip(boxes, 0, limit)
    notes = []
    for box, inside in zip(boxes, clipped):
        x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
        given = f'bbox {x:g},{y:g},{w:g},{h:g} (x,y,w,h)'
        if not np.isfinite(box).all() or (inside[2:] - inside[:2] < 1).any():
            raise ValueError(f'{source}: {given} lies outside the image of {width} x {height} px')
        if not np.array_equal(box, inside):
            notes.append(
                f'{source}: {given} reaches over the border of the image of {width} x {height} px: clipped'
            )
    return clipped, notes


def read_detections(
    path: str | Path, images: str | Path | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read the boxes of many images, and their scores, from a JSON file.

    Args:
        path: {"photo.jpg": [[x, y, w, h], ...], ...}, a COCO file (images with file_name, annotations with
            image_id and bbox; crowds are left out), or COCO results, a list of {image_id, category_id, bbox,
            score}, as detectors write them; of those the category ``person`` (1 where no file names it) is
            taken.
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
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path}: not a JSON file, or a truncated one ({error})') from None
    if isinstance(content, list):
        rows, scores = _result_rows(content, path, images)
    elif isinstance(content, dict):
        rows, scores = (_coco_rows(content, path) if 'annotations' in content else content), {}
    else:
        raise ValueError(
            f'{path}: expected an object, image name -> list of [x, y, w, h], or a list of COCO results, '
            f'got {type(content).__name__}'
        )
    detections = {}
    for name, items in rows.items():
        if not isinstance(items, list):
            raise ValueError(f'{path}: {name!r}: expected a list of [x, y, w, h], got {items!r}')
        corners = [xywh_to_xyxy(box, f'{path}: {name!r}: bbox {k}') for k, box in enumerate(items)]
        boxes = np.asarray(corners, np.float32).reshape(-1, 4)
        detections[Path(name).name] = boxes, np.asarray(scores.get(name, np.ones(len(boxes))), np.float32)
    return detections


def _result_rows(content: list, path: Path, images: str | Path | None) -> tuple[dict, dict]:
    """The boxes and the scores of COCO results by image file name."""
    names, people = {}, {PERSON_ID}
    if images is not None:
        annotated = read_json(images)
        names = {key: image['file_name'] for key, image in images_by_id(annotated, images).items()}
        people = person_ids(annotated, images)
    rows, scores = {name: [] for name in names.values()}, {name: [] for name in names.values()}
    for position, result in enumerate(content):
        where = f'{path}: result {position}'
        missing = [
            key
            for key in ('image_id', 'category_id', 'bbox', 'score')
            if not isinstance(result, dict) or key not in result
        ]
        if missing:
            raise ValueError(f'{where}: field {missing[0]!r} is missing')
        if result['category_id'] not in people:
            continue
        name = names.get(result['image_id'], result['image_id'])
        if not isinstance(name, str) or (names and name not in rows):
            raise ValueError(
                f'{where}: image_id {result["image_id"]!r} '
                + (
                    f'is not among the images of {images}'
                    if names
                    else 'is no file name: give the file that names the images (--boxes-images FILE)'
                )
            )
        rows.setdefault(name, []).append(result['bbox'])
        scores.setdefault(name, []).append(float(result['score']))
    return rows, scores


def _coco_rows(content: dict, path: Path) -> dict[str, list]:
    """The boxes of a COCO file by image file name."""
    try:
        names = {image['id']: image['file_name'] for image in content['images']}
    except (KeyError, TypeError) as error:
        raise ValueError(f'{path}: images: every entry needs id and file_name ({error!r})') from None
    rows = {name: [] for name in names.values()}
    for annotation in content['annotations']:
        missing = [key for key in ('image_id', 'bbox') if key not in annotation]
        if missing or annotation['image_id'] not in names:
            raise ValueError(
                f'{path}: annotation id {annotation.get("id")!r}: '
                + (
                    f'field {missing[0]!r} is missing'
                    if missing
                    else f'no image has id {annotation["image_id"]!r}'
                )
            )
        if not annotation.get('iscrowd', 0):
            rows[names[annotation['image_id']]].append(annotation['bbox'])
    return rows
