"""Data sets of people with any of points, meshes, keypoints and masks in detectron2's catalogs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import List, Optional

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets.builtin_meta import (
    COCO_PERSON_KEYPOINT_FLIP_MAP,
    COCO_PERSON_KEYPOINT_NAMES,
)
from detectron2.structures import BoxMode

from meshpose_plugins.data.coco import PERSON_ID, images_by_id, person_ids, read_json
from meshpose_plugins.data.densepose import DensePoseCoco, PersonRecord
from meshpose_plugins.templates import load_template
from meshpose_plugins.templates.identity import encode_template_id

EVALUATOR_TYPE = "meshpose_coco"
#: Options of ``DensePoseCoco`` that a registration passes on.
READER_OPTIONS = ("surface", "correspondence", "charts", "cache")
#: The files of a folder that tools/make_synthetic.py makes.
_FOLDER_FILES = ("annotations.json", "meshes.npz")
_logger = logging.getLogger(__name__)


def register_densepose_coco(
    name: str,
    json_file: str,
    image_root: str = "",
    mesh_file: Optional[str] = None,
    template: str = "anny",
    **options,
) -> None:
    """Register a DensePose-COCO style file in DatasetCatalog and MetadataCatalog; it is read when it is used.

    The files are those that MMPose's ``MeshPoseDataset`` reads. Plain COCO files work: their people have no
    points and no mesh. People are the one class; annotations of other categories are left out.

    Args:
        name: for DATASETS.TRAIN and DATASETS.TEST.
        json_file: the annotation file.
        image_root: folder that its file names are relative to.
        mesh_file: .npz of meshes, or None.
        template: name or path of the template on which points and meshes lie.
        **options: ``surface``, ``correspondence``, ``charts`` and ``cache`` of ``DensePoseCoco``, for files
            whose charts lie on another body than the template, or that are large.

    Raises:
        FileNotFoundError: the annotation file or the file of meshes does not exist.
        ValueError: the name is registered already, or an option is not known.
    """
    for path, what in ((json_file, "annotation file"), (mesh_file, "file of meshes")):
        if path and not Path(path).is_file():
            raise FileNotFoundError(f"data set '{name}': no such {what}: {path}")
    if name in DatasetCatalog.list():
        raise ValueError(f"data set '{name}' is registered already")
    unknown = sorted(set(options) - set(READER_OPTIONS))
    if unknown:
        raise ValueError(
            f"data set '{name}': no option {unknown[0]!r}, expected any of {', '.join(READER_OPTIONS)}"
        )
    DatasetCatalog.register(name, lambda: load_densepose_coco(name))
    MetadataCatalog.get(name).set(
        json_file=str(json_file),
        image_root=str(image_root),
        evaluator_type=EVALUATOR_TYPE,
        thing_classes=["person"],
        keypoint_names=COCO_PERSON_KEYPOINT_NAMES,
        keypoint_flip_map=COCO_PERSON_KEYPOINT_FLIP_MAP,
        meshpose_template=str(template),
        meshpose_mesh_file=mesh_file and str(mesh_file),
        meshpose_options=options,
    )


def register_folder(folder: str, template: str = "anny") -> None:
    """Register a folder of tools/make_synthetic.py under its own path as name."""
    annotations, meshes = (Path(folder) / file for file in _FOLDER_FILES)
    register_densepose_coco(
        str(folder), str(annotations), str(folder), str(meshes) if meshes.is_file() else None, template
    )


def register_from_config(cfg: CfgNode) -> None:
    """Register what DATASETS.MESHPOSE lists, and the folders among DATASETS.TRAIN and TEST, once."""
    known = set(DatasetCatalog.list())
    for entry in cfg.DATASETS.MESHPOSE:
        if not isinstance(entry, dict) or not {"name", "json_file"} <= set(entry):
            raise ValueError(f"DATASETS.MESHPOSE: an entry needs name and json_file, got {entry}")
        if entry["name"] not in known:
            register_densepose_coco(**entry)
    for name in dict.fromkeys([*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST]):
        if name not in DatasetCatalog.list() and Path(name).is_dir():
            register_folder(name, cfg.MODEL.ROI_MESHPOSE_HEAD.TEMPLATE)


def check_templates(cfg: CfgNode) -> None:
    """Compare the template of the config with those of its data sets, before anything slow begins.

    Raises:
        ValueError: a data set has another one (named, with what mends it), or is not registered.
    """
    own = load_template(cfg.MODEL.ROI_MESHPOSE_HEAD.TEMPLATE)
    for name in dict.fromkeys([*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST]):
        if name not in DatasetCatalog.list():
            raise ValueError(
                f"data set '{name}' of DATASETS is neither registered nor a folder with "
                f"{_FOLDER_FILES[0]}: call register_densepose_coco, or list it in DATASETS.MESHPOSE"
            )
        found = MetadataCatalog.get(name).get("meshpose_template", None)
        other = own if found is None else load_template(found)
        if encode_template_id(other).tolist() != encode_template_id(own).tolist():
            raise ValueError(
                f"data set '{name}' is registered with template='{found}', the config says "
                f"MODEL.ROI_MESHPOSE_HEAD.TEMPLATE='{cfg.MODEL.ROI_MESHPOSE_HEAD.TEMPLATE}': set both "
                "to one template"
            )


def read_people(name: str, logger: logging.Logger = _logger) -> DensePoseCoco:
    """The people of a registered data set; broken annotations are left out and counted in the log."""
    metadata = MetadataCatalog.get(name)
    return DensePoseCoco(
        metadata.json_file,
        load_template(metadata.meshpose_template),
        metadata.meshpose_mesh_file,
        on_error="skip",
        logger=logger,
        **metadata.meshpose_options,
    )


def load_densepose_coco(name: str) -> List[dict]:
    """Read a registered data set as detectron2's list of image dicts.

    An annotation also has ``id``, ``surface_points`` (SurfacePoints in image px) and ``mesh_index`` (row of
    the file of meshes, -1 without). Images without people are in the list.
    """
    metadata, people = MetadataCatalog.get(name), read_people(name)
    content, problems = read_json(metadata.json_file), []
    images = images_by_id(content, metadata.json_file, problems)
    category = min(person_ids(content, metadata.json_file), default=PERSON_ID)
    metadata.set(thing_dataset_id_to_contiguous_id={category: 0})
    records = {identity: _image_dict(image, metadata.image_root) for identity, image in images.items()}
    for person in people:
        annotation = _annotation(person, metadata.meshpose_mesh_file)
        records[person.image_id]["annotations"].append(annotation)
    _logger.info("%s", people.summary())
    return list(records.values())


def _image_dict(image: dict, image_root: str) -> dict:
    record = dict(file_name=str(Path(image_root) / image["file_name"]), image_id=image["id"], annotations=[])
    if image.get("width") and image.get("height"):
        record.update(width=int(image["width"]), height=int(image["height"]))
    return record


def _annotation(person: PersonRecord, mesh_file: Optional[str]) -> dict:
    annotation = dict(
        id=person.annotation_id,
        bbox=person.bbox.tolist(),
        bbox_mode=BoxMode.XYWH_ABS,
        category_id=0,
        iscrowd=int(person.iscrowd),
        surface_points=person.points,
        mesh_index=-1,
    )
    if person.mesh_index >= 0:
        if np.isfinite(person.vertices_image).all():
            annotation.update(mesh_index=person.mesh_index, mesh_file=str(mesh_file))
        else:
            _logger.warning(
                "%s: the mesh of annotation %s is not finite, left out", mesh_file, person.annotation_id
            )
    if person.segmentation:
        annotation["segmentation"] = person.segmentation
    if person.keypoints is not None:
        # From pixel indices to detectron2's distances from the image's border.
        annotation["keypoints"] = (person.keypoints + np.float32([0.5, 0.5, 0])).ravel().tolist()
    return annotation
