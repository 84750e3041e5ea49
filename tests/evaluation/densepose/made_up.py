"""Made-up surfaces, annotations and detections with everything that occurs in real files."""

import numpy as np

from meshpose_plugins.data.rle import encode_labels
from meshpose_plugins.evaluation import encode_iuv


def make_surface(rng, count=120, parts=6):
    """part (N,), uv (N, 2), position (N, 3) of a surface with a few charts."""
    part = np.sort(rng.integers(1, parts + 1, count))
    uv = rng.random((count, 2))
    position = np.concatenate([uv * 0.3 + (part % 3)[:, None] * 0.2, rng.random((count, 1)) * 0.05], axis=1)
    return part, uv, position


def make_case(rng, surface, images=8, constant=False):
    """Annotations and detections: crowds, people without points or masks, duplicates, ignore regions."""
    annotations = dict(images=[], annotations=[], categories=[dict(id=1, name='person')])
    detections = []
    for image_id in rng.permutation(np.arange(1, images + 1)).tolist():
        height, width = int(rng.integers(90, 180)), int(rng.integers(90, 180))
        image = dict(id=image_id, file_name=f'{image_id}.jpg', height=height, width=width)
        if rng.random() < 0.3:
            x, y = sorted(rng.uniform(0, width, 2)), sorted(rng.uniform(0, height, 2))
            image['ignore_regions_x'] = [[x[0], x[1], x[1], x[0]]]
            image['ignore_regions_y'] = [[y[0], y[0], y[1], y[1]]]
        annotations['images'].append(image)
        for _ in range(rng.integers(0, 4)):
            person = make_person(rng, surface, image, len(annotations['annotations']) + 1)
            annotations['annotations'].append(person)
            detections += [make_detection(rng, surface, image, person) for _ in range(rng.integers(0, 3))]
        if rng.random() < 0.4:
            detections.append(make_detection(rng, surface, image, make_person(rng, surface, image, 0)))
    if constant:
        for detection in detections:
            detection['score'] = 0.5
    return annotations, detections


def make_person(rng, surface, image, identity):
    w, h = rng.uniform(25, 110, 2)
    x, y = rng.uniform(-8, image['width'] - w + 8), rng.uniform(0, max(image['height'] - h, 1))
    corners = [x, y, x + w, y, x + w, y + h, x, y + h]
    person = dict(
        id=identity,
        image_id=image['id'],
        category_id=1,
        iscrowd=int(rng.random() < 0.15),
        bbox=[float(round(value, 2)) for value in (max(x, 0), max(y, 0), w, h)],
        area=float(w * h * 0.6),
        segmentation=[[float(value) for value in corners]],
    )
    if rng.random() < 0.8 and not person['iscrowd']:
        part, uv, _ = surface
        chosen = rng.integers(0, len(part), 12)
        person['dp_x'], person['dp_y'] = (rng.uniform(20, 235, 12).round(3).tolist() for _ in range(2))
        person['dp_I'] = part[chosen].astype(float).tolist()
        person['dp_U'], person['dp_V'] = uv[chosen].T.tolist()
        if rng.random() < 0.8:
            person['dp_masks'] = encode_labels(labels(rng, 256, 256), 14)
    return person


def labels(rng, height, width, parts=6):
    """A body of horizontal bands on an empty background."""
    rows, columns = np.mgrid[:height, :width]
    inside = ((rows / height - 0.5) / 0.48) ** 2 + ((columns / width - 0.5) / rng.uniform(0.3, 0.5)) ** 2 < 1
    return (inside * (1 + rows * parts // height)).astype(np.uint8)


def make_detection(rng, surface, image, person):
    """A detection near a person, whose map says nearly what is annotated."""
    x, y, w, h = np.array(person['bbox']) + rng.normal(0, 1.5, 4)
    w, h = max(w, 6), max(h, 6)
    box = [float(round(value, 2)) for value in (x, y, w, h)]
    height, width = int(box[3]), int(box[2])
    iuv = np.zeros((height, width, 3), np.uint8)
    iuv[..., 0] = labels(rng, height, width)
    iuv[..., 1:] = rng.integers(0, 256, (height, width, 2))
    for px, py, i, u, v in zip(*(person.get(f'dp_{name}', []) for name in ('x', 'y', 'I', 'U', 'V'))):
        column, row = int(px * width / 255), int(py * height / 255)
        window = (slice(max(row - 3, 0), row + 4), slice(max(column - 3, 0), column + 4))
        iuv[window] = i, min(u * 255 + rng.uniform(0, 25), 255), min(v * 255 + rng.uniform(0, 25), 255)
    iuv[iuv[..., 0] == 0] = 0
    score = float(rng.choice([0.3, 0.6, round(rng.random(), 3)]))
    return dict(image_id=image['id'], category_id=1, bbox=box, score=score, iuv_png=encode_iuv(iuv))
