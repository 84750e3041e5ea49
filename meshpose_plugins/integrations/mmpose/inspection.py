"""What the data loader of a config gives to the network, drawn and counted."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.utils import import_modules_from_strings
from mmpose.registry import DATA_SAMPLERS, DATASETS
from rich.progress import track

from meshpose_plugins.data.report import ReadReport
from meshpose_plugins.templates import load_template
from meshpose_plugins.files import write_atomically
from meshpose_plugins.visualization.labels import CropLabels, draw_labels, stack_rows

SPLITS = ('train', 'val', 'test')
ROWS_PER_SHEET = 6


def labels_of_sample(sample) -> CropLabels:
    """Collect the labels of a packed PoseDataSample for drawing."""
    labels = sample.gt_instance_labels

    def first(name: str):
        return np.asarray(labels[name])[0] if name in labels else None

    points = dict(points_xy=first('points_xy'), point_vertex_ids=first('point_vertex_ids'),
                  point_valid=first('point_valid'))
    if points['points_xy'] is not None:
        # What fills the array up to its length has no weights.
        real = first('point_barycentrics').sum(1) > 0
        points = {name: value[real] for name, value in points.items()}
    has_mesh = 'vertices_valid' in labels and bool(np.asarray(labels.vertices_valid).all())
    has_mask = 'person_mask_valid' in labels and bool(np.asarray(labels.person_mask_valid)[0])
    return CropLabels(
        **points,
        vertices=first('vertices_crop') if has_mesh else None,
        visibility=first('vertex_visibility') if has_mesh else None,
        person_mask=np.squeeze(first('person_mask')) if has_mask else None,
        ignore_mask=np.squeeze(first('ignore_mask')) if has_mask and 'ignore_mask' in labels else None,
        keypoints=first('keypoints_crop'),
        keypoints_valid=first('keypoints_valid'),
    )


def inspect_dataset(
    config: Config, out: str | Path, split: str = 'train', count: int = 24, progress: bool = True
) -> tuple[list[ReadReport], list[Path]]:
    """Draw the first samples of a config's data loader, as its sampler and pipelines give them.

    Args:
        config: of a training; only its data sets, sampler, pipelines and template are built.
        out: folder for the sheets and report.json.
        split: 'train', 'val' or 'test'.
        count: number of samples.
        progress: show a progress bar.

    Returns:
        What was read and dropped, per data set, and the files.

    Raises:
        ValueError: an unknown split, or a config without it.
    """
    loader = config.get(f'{split}_dataloader') if split in SPLITS else None
    if loader is None:
        raise ValueError(
            f'{config.filename}: has no {split}_dataloader; --split is one of {", ".join(SPLITS)}'
        )
    import_modules_from_strings(**config.get('custom_imports', dict(imports=[])))
    init_default_scope(config.get('default_scope', 'mmpose'))
    seed = config.get('randomness', {}).get('seed') or 0
    np.random.seed(seed)
    dataset = DATASETS.build(loader.dataset)
    dataset.full_init()
    template = load_template(config.model.head.template)
    # A data set that does not shuffle is sampled all over: neighbours in a file are much alike.
    if loader.sampler.get('shuffle', True) is False:
        indices = np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int)).tolist()
    else:
        sampler = DATA_SAMPLERS.build(loader.sampler, default_args=dict(dataset=dataset, seed=seed))
        indices = list(islice(sampler, count))
    rows = [_row(dataset, index, template) for index in track(indices, 'drawing', disable=not progress)]
    paths = []
    for page, first in enumerate(range(0, len(rows), ROWS_PER_SHEET)):
        sheet = stack_rows(rows[first:first + ROWS_PER_SHEET])
        encoded = cv2.imencode('.png', sheet[..., ::-1])[1]
        paths.append(write_atomically(Path(out) / f'{split}_{page:02d}.png', encoded.tobytes()))
    parts = getattr(dataset, 'datasets', [dataset])
    reports = [part.report for part in parts if getattr(part, 'report', None) is not None]
    text = json.dumps([report.to_dict() for report in reports], indent=1)
    paths.append(write_atomically(Path(out) / 'report.json', text.encode()))
    return reports, paths


def _row(dataset, index: int, template) -> np.ndarray:
    """Return the picture of one sample."""
    packed = dataset[index]
    sample = packed['data_samples']
    crop = np.ascontiguousarray(packed['inputs'].numpy().transpose(1, 2, 0)[..., ::-1]).astype(np.uint8)
    title = f'image {sample.get("img_id")}, annotation {sample.get("id")}'
    if hasattr(dataset, 'datasets'):
        title = f'set {dataset._get_ori_dataset_idx(index)[0]}, {title}'
    return draw_labels(crop, labels_of_sample(sample), template, title)
