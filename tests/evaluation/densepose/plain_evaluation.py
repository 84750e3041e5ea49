"""The public DensePose evaluation as plain loops over points, pixels and pairs: slow, and easy to check.

Written from the list of facts in docs/densepose_evaluation.md, sharing no code with the package.
"""

import base64
import io
import math

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from scipy.ndimage import zoom

KAPPA = [0.351, 0.107, 0.126, 0.237, 0.173, 0.142, 0.128, 0.150]
COARSE = [1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 8]
AREAS = {'': (0, 1e10), 'm': (32**2, 96**2), 'l': (96**2, 1e10)}
THRESHOLDS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


def evaluate(annotations, detections, surface, constant_score=False, kappa=None):
    """Mode -> statistic -> value, for P3."""
    images = [
        _Image(image, annotations, detections, surface, constant_score, kappa)
        for image in annotations['images']
    ]
    images.sort(key=lambda image: image.id)
    return {mode: _statistics(images, mode) for mode in ('gps', 'gpsm', 'iou')}


def decode(detection):
    return np.array(Image.open(io.BytesIO(base64.b64decode(detection['iuv_png']))))


class _Image:
    def __init__(self, image, annotations, detections, surface, constant_score, kappa):
        self.id, self.size = image['id'], (image['height'], image['width'])
        region = _region(image)
        self.people = [
            dict(a)
            for a in annotations['annotations']
            if a['image_id'] == self.id and not _person_hidden(a, region)
        ]
        self.found = []
        for index, detection in enumerate(detections):
            if detection['image_id'] == self.id:
                d = dict(detection, iuv=decode(detection), id=index + 1)
                d['area'] = d['bbox'][2] * d['bbox'][3]
                d['score'] = 1.0 if constant_score else d['score']
                if not _detection_hidden(d, region):
                    self.found.append(d)
        self.found = sorted(self.found, key=lambda d: -d['score'])[:20]
        for person in self.people:
            person['ignore'] = bool(person.get('iscrowd')) or 'dp_x' not in person
        people_masks = [_person_mask(person, self.size) for person in self.people]
        masks = [_paste(d['iuv'][..., 0] > 0, d['bbox'], self.size) for d in self.found]
        self.gps = [[_gps(d, p, surface, kappa) for p in self.people] for d in self.found]
        self.iou = [
            [_mask_iou(m, pm, p['iscrowd']) for p, pm in zip(self.people, people_masks)] for m in masks
        ]
        self.box = [[_box_iou(d['bbox'], p['bbox'], p['iscrowd']) for p in self.people] for d in self.found]

    def similarity(self, mode, d, p):
        if mode == 'gpsm':
            return math.sqrt(self.gps[d][p] * self.iou[d][p])
        return (self.gps if mode == 'gps' else self.iou)[d][p]

    def match(self, mode, low, high):
        """Per threshold a list of (score, right, ignored), and the number of people that count."""
        ignored = [p['ignore'] or not low <= p['area'] <= high for p in self.people]
        order = [p for p, flag in enumerate(ignored) if not flag] + [
            p for p, flag in enumerate(ignored) if flag
        ]
        matches, flags = [], []
        for threshold in THRESHOLDS:
            match, flag, taken = [None] * len(self.found), [False] * len(self.found), set()
            for d in range(len(self.found)):
                best = min(threshold, 1 - 1e-10)
                for p in order:
                    if p in taken and not self.people[p]['iscrowd']:
                        continue
                    if match[d] is not None and not ignored[match[d]] and ignored[p]:
                        break
                    value = self.similarity(mode, d, p)
                    if value >= best and value > 0:
                        best, match[d] = value, p
                if match[d] is not None:
                    taken.add(match[d])
                    flag[d] = ignored[match[d]]
            matches.append(match)
            flags.append(flag)
        for d in range(len(self.found)):
            if matches[-1][d] is None:
                best, chosen = 0.8, None
                for p in order:
                    if (p not in taken or self.people[p]['iscrowd']) and self.box[d][p] >= best:
                        best, chosen = self.box[d][p], p
                if chosen is not None:
                    for flag in flags:
                        flag[d] = ignored[chosen]
                    if ignored[chosen]:
                        taken.add(chosen)
        rows = []
        for match, flag in zip(matches, flags):
            row = []
            for d, detection in enumerate(self.found):
                outside = match[d] is None and not low <= detection['area'] <= high
                row.append((detection['score'], match[d] is not None, flag[d] or outside or all(ignored)))
            rows.append(row)
        return rows, ignored.count(False)


def _statistics(images, mode):
    result = {}
    for suffix, (low, high) in AREAS.items():
        found = [image.match(mode, low, high) for image in images]
        people = sum(count for _, count in found)
        precisions, recalls = [], []
        for t in range(len(THRESHOLDS)):
            rows = sorted((row for rows, _ in found for row in rows[t]), key=lambda row: -row[0])
            points, right, wrong = [], 0, 0
            for _, matched, ignored in rows:
                if not ignored:
                    right, wrong = right + matched, wrong + (not matched)
                points.append((right / people if people else 0, right / max(right + wrong, 1)))
            recalls.append(points[-1][0] if points else 0.0)
            sampled = [
                max((p for r, p in points if r >= wanted), default=0.0) for wanted in np.linspace(0, 1, 101)
            ]
            precisions.append(sum(sampled) / 101)
        values = {'AP' + suffix: sum(precisions) / 10, 'AR' + suffix: sum(recalls) / 10}
        if not suffix:
            for name, index in (('50', 0), ('75', 5)):
                values['AP' + name], values['AR' + name] = precisions[index], recalls[index]
        result.update({name: value if people else -1.0 for name, value in values.items()})
    return result


def _region(image):
    if not image.get('ignore_regions_x'):
        return None
    polygons = [
        [value for pair in zip(x, y) for value in pair]
        for x, y in zip(image['ignore_regions_x'], image['ignore_regions_y'])
    ]
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, image['height'], image['width'])))


def _person_hidden(person, region):
    if region is None:
        return False
    x, y, w, h = (int(value) for value in person['bbox'])
    return region[y : y + h, x : x + w].sum() / w / h >= 0.7


def _detection_hidden(detection, region):
    if region is None:
        return False
    mask = _paste(detection['iuv'][..., 0] > 0, detection['bbox'], region.shape)
    everything = (detection['iuv'][..., 0] > 0).sum()
    return everything > 0 and (mask & (region > 0)).sum() / everything >= 0.9


def _person_mask(person, size):
    if 'dp_masks' in person:
        painted = np.zeros((256, 256))
        for part in person['dp_masks']:
            if part:
                painted[coco_mask.decode(part) > 0] = 1
        width, height = (max(value, 1) for value in person['bbox'][2:])
        resized = zoom(painted, (height / 256, width / 256), order=1, prefilter=False)
        return _paste(resized > 0.5, person['bbox'], size)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(person['segmentation'], *size))) > 0


def _paste(mask, box, size):
    x, y, w, h = box
    image = np.zeros(size, bool)
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            r, c = int(y) + row, int(x) + column
            if 0 <= r < min(size[0], int(y + h)) and 0 <= c < min(size[1], int(x + w)):
                image[r, c] = mask[row, column]
    return image


def _mask_iou(detection, person, crowd):
    shared = (detection & person).sum()
    union = detection.sum() if crowd else (detection | person).sum()
    return shared / union if union else 0.0


def _box_iou(detection, person, crowd):
    width = min(detection[0] + detection[2], person[0] + person[2]) - max(detection[0], person[0])
    height = min(detection[1] + detection[3], person[1] + person[3]) - max(detection[1], person[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = detection[2] * detection[3]
    return width * height / (area if crowd else area + person[2] * person[3] - width * height)


def _gps(detection, person, surface, kappa):
    if person['ignore']:
        return 0.0
    part, uv, position = surface
    gx, gy, gw, gh = person['bbox']
    dx, dy, dw, dh = detection['bbox']
    values, inside = [], False
    for x, y, i, u, v in zip(*(person[f'dp_{name}'] for name in ('x', 'y', 'I', 'U', 'V'))):
        true = _nearest(part, uv, int(i), u, v)
        if true is None:
            continue
        column, row = int(x * gw / 255 + gx - dx), int(y * gh / 255 + gy - dy)
        value = 0.0
        if 0 <= column < int(dw) and 0 <= row < int(dh):
            inside = True
            predicted = _nearest(part, uv, *(detection['iuv'][row, column] / [1, 255, 255]))
            if predicted is not None:
                distance = math.dist(position[true], position[predicted])
                k = kappa or KAPPA[COARSE[part[true] - 1] - 1]
                value = math.exp(-(distance**2) / (2 * k**2))
        values.append(value)
    return sum(values) / len(values) if inside and values else 0.0


def _nearest(part, uv, i, u, v):
    best, found = math.inf, None
    for vertex in range(len(part)):
        if part[vertex] == i:
            distance = math.hypot(uv[vertex][0] - u, uv[vertex][1] - v)
            if distance < best:
                best, found = distance, vertex
    return found
