"""A detector over a whole data set: boxes in a file of COCO results, which every framework reads."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from rich.progress import track

from meshpose_plugins.data.coco import images_by_id, person_ids, read_json
from meshpose_plugins.deploy.images import read_image
from meshpose_plugins.detection.base import PersonDetector
from meshpose_plugins.files import write_atomically

_logger = logging.getLogger(__name__)


def write_detections(
    detector: PersonDetector, annotation_file: str | Path, image_root: str | Path, out: str | Path
) -> Path:
    """Find the people in all images of an annotation file.

    An image that cannot be read is reported and has no people.

    Args:
        detector: any detector.
        annotation_file: COCO-style JSON with the images.
        image_root: folder that its file names are relative to.
        out: .json of COCO results: image_id, category_id of 'person', bbox x, y, width, height, score.

    Returns:
        the file.

    Raises:
        FileNotFoundError, ValueError: the annotation file is missing or broken, or no image can be read.
    """
    content = read_json(annotation_file)
    person = min(person_ids(content, annotation_file), default=1)
    results, unread = [], 0
    images = images_by_id(content, annotation_file)
    for identity, image in track(images.items(), description='people', transient=True):
        try:
            boxes, scores = detector.detect(read_image(Path(image_root) / image['file_name']))
        except (FileNotFoundError, ValueError) as error:
            unread += 1
            _logger.warning('image skipped: %s', error)
            continue
        for (x0, y0, x1, y1), score in zip(boxes.tolist(), scores.tolist()):
            results.append(
                dict(image_id=identity, category_id=person, bbox=[x0, y0, x1 - x0, y1 - y0], score=score)
            )
    if images and unread == len(images):
        raise ValueError(f'none of the {unread} images of {annotation_file} can be read: check {image_root}')
    return write_atomically(out, json.dumps(results).encode())
