"""The frame of a COCO-style JSON file: its lists, ids, categories and plain numbers, checked once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from meshpose_plugins.bodies.base import COCO_KEYPOINT_NAMES
from meshpose_plugins.files import decode_json

#: The name of the category whose annotations are read, and its id in files that list no categories.
PERSON, PERSON_ID = 'person', 1


def read_json(path: str | Path) -> dict:
    """Read a COCO-style JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as :func:`parse_json`.
    """
    return parse_json(read_bytes(path), path)


def read_bytes(path: str | Path) -> bytes:
    """Return the bytes of an annotation file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such annotation file')
    return path.read_bytes()


def parse_json(data: bytes, path: str | Path) -> dict:
    """Parse the bytes of a COCO-style JSON file; ``path`` is what error messages call it.

    Raises:
        ValueError: the file is no UTF-8 or no JSON (with the position where reading stopped), lacks a list it
            needs, or its ``info`` is no object.
    """
    return check_frame(decode_json(data, path), path)


def check_frame(content: Any, path: str | Path) -> dict:
    """Return what a COCO-style file holds, if it has the lists that it needs.

    Raises:
        ValueError: a list is missing, or ``info`` is no object.
    """
    for name in ('images', 'annotations'):
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise ValueError(f"{path}: a COCO-style file needs a list '{name}'")
    if not isinstance(content.get('info') or {}, dict):
        raise ValueError(f"{path}: info must be an object, got {str(content['info'])[:80]}")
    return content


def checked_id(owner: dict, name: str, where: str) -> int | str:
    """Return an id of an image, annotation or category.

    Raises:
        ValueError: it is neither a whole number nor text.
    """
    value = owner.get(name)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f'{where}: {name} must be a whole number or text, got {str(value)[:80]}')
    return value


def is_finite_number(value: Any) -> bool:
    """Tell whether a value of a JSON file is a number that a float can hold."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def checked_number(owner: dict, name: str, where: str) -> float | None:
    """Return a field that is a finite number of at least 0, or None where it is absent or null.

    Raises:
        ValueError: it is something else (named with the value).
    """
    value = owner.get(name)
    if value is None:
        return None
    if not is_finite_number(value) or value < 0:
        raise ValueError(f'{where}: {name} must be a finite number of at least 0, got {str(value)[:80]}')
    return float(value)


def images_by_id(content: dict, path: str | Path, problems: list[str] | None = None) -> dict[Any, dict]:
    """Return the images of a file by their id.

    Args:
        content: of the file.
        path: what error messages call it.
        problems: where images without a usable id or file name are named, which are then left out; None makes
            them errors.

    Raises:
        ValueError: an image has no id or file name, or the id of another image (named with its place in the
            list).
    """
    images = {}
    for position, image in enumerate(content['images']):
        where = f'{path}: images[{position}]'
        try:
            for name in ('id', 'file_name'):
                if not isinstance(image, dict) or name not in image:
                    raise ValueError(f"{where}: '{name}' is missing")
            if not isinstance(image['file_name'], str):
                raise ValueError(f"{where}: file_name must be text, got {str(image['file_name'])[:80]}")
            identity = checked_id(image, 'id', where)
            if images.get(identity, image) != image:  # listed twice alike does no harm
                raise ValueError(f'{where}: id {identity!r} is that of another image before it')
            images[identity] = image
        except ValueError as error:
            if problems is None:
                raise
            problems.append(str(error))
    return images


def person_ids(content: dict, path: str | Path) -> set[int | str]:
    """Return the ids of the categories named 'person'; 1 for a file that lists no categories.

    Raises:
        ValueError: the categories are no list, or one has no id or name (named with its place in the list).
    """
    categories = content.get('categories')
    if categories is None or categories == []:
        return {PERSON_ID}
    if not isinstance(categories, list):
        raise ValueError(f'{path}: categories must be a list, got {str(categories)[:80]}')
    for position, category in enumerate(categories):
        for name in ('id', 'name'):
            if not isinstance(category, dict) or name not in category:
                raise ValueError(f"{path}: categories[{position}]: '{name}' is missing")
    return {checked_id(category, 'id', f'{path}: categories[{position}]')
            for position, category in enumerate(categories) if category['name'] == PERSON}


def keypoint_order(content: dict, path: str | Path) -> list[int] | None:
    """Find COCO's 17 keypoints among those that the category 'person' lists.

    PoseTrack, for one, has a head's top and bottom where COCO has the eyes.

    Returns:
        the place of each in the file's list, -1 for one it lacks; None where the lists agree or the file has
        none.

    Raises:
        ValueError: the list is none of names.
    """
    for category in content.get('categories') or []:
        names = category.get('keypoints') if category.get('name') == PERSON else None
        if not names:
            continue
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f'{path}: keypoints of a category must be names, got {str(names)[:80]}')
        order = [names.index(name) if name in names else -1 for name in COCO_KEYPOINT_NAMES]
        return None if tuple(names) == COCO_KEYPOINT_NAMES else order
    return None


def ignore_regions(image: dict, where: str) -> list[list[float]] | None:
    """Return the regions of an image that are not annotated (DensePose-PoseTrack), or None without any.

    Args:
        image: with ``ignore_regions_x`` and ``ignore_regions_y``, a list of the corners' x (y) per region.
        where: what error messages call it.

    Returns:
        polygons as in COCO's ``segmentation``: x, y, x, y, ... in image px.

    Raises:
        ValueError: the two do not fit together, or are no numbers.
    """
    xs, ys = image.get('ignore_regions_x'), image.get('ignore_regions_y')
    if not xs and not ys:
        return None
    try:
        if len(xs) != len(ys):
            raise ValueError
        regions = []
        for x, y in zip(xs, ys):
            corners = np.stack([np.asarray(x, np.float64), np.asarray(y, np.float64)], -1)
            if corners.ndim != 2 or len(corners) < 3 or not np.isfinite(corners).all():
                raise ValueError
            regions.append(corners.ravel().tolist())
    except (TypeError, ValueError):
        raise ValueError(
            f'{where}: ignore_regions_x and ignore_regions_y must be equally many lists of 3 or more '
            f'numbers, got {str(xs)[:60]} and {str(ys)[:60]}'
        ) from None
    return regions
