"""The frame of a COCO-style JSON file: its lists, ids, categories and plain numbers, checked once."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

#: The name of the category whose annotations are read, and its id in files that list no categories.
PERSON, PERSON_ID = 'person', 1


def read_json(path: str | Path) -> dict:
    """Read a COCO-style JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no UTF-8 or no JSON (with the position where reading stopped), or lacks a list
            it needs.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such annotation file')
    data = path.read_bytes()
    try:
        text = data.decode('utf-8')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path}: no UTF-8 text at byte {error.start} of {len(data)} '
            f'(0x{data[error.start]:02x}): {error.reason}; save the file as UTF-8'
        ) from None
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        cut = ' (the file seems to be cut off)' if error.pos >= len(text.rstrip()) - 1 else ''
        raise ValueError(
            f'{path}: no valid JSON at line {error.lineno}, column {error.colno}, character {error.pos} '
            f'of {len(text)}{cut}: {error.msg}'
        ) from None
    for name in ('images', 'annotations'):
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise ValueError(f"{path}: a COCO-style file needs a list '{name}'")
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


def checked_number(owner: dict, name: str, where: str) -> float | None:
    """Return a field that is a finite number of at least 0, or None where it is absent or null.

    Raises:
        ValueError: it is something else (named with the value).
    """
    value = owner.get(name)
    if value is None:
        return None
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        good = good and math.isfinite(value) and value >= 0
    except OverflowError:
        good = False
    if not good:
        raise ValueError(f'{where}: {name} must be a finite number of at least 0, got {str(value)[:80]}')
    return float(value)


def images_by_id(content: dict, path: str | Path) -> dict[Any, dict]:
    """Return the images of a file by their id.

    Raises:
        ValueError: an image has no id or file name (named with its place in the list).
    """
    images = {}
    for position, image in enumerate(content['images']):
        where = f'{path}: images[{position}]'
        for name in ('id', 'file_name'):
            if not isinstance(image, dict) or name not in image:
                raise ValueError(f"{where}: '{name}' is missing")
        if not isinstance(image['file_name'], str):
            raise ValueError(f"{where}: file_name must be text, got {str(image['file_name'])[:80]}")
        images[checked_id(image, 'id', where)] = image
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
