"""Person boxes for the top-down network: one protocol, several detectors, and boxes given by the user."""

from meshpose_plugins.detection.base import PersonDetector, build_detector, detector_names, register_detector
from meshpose_plugins.detection.box_files import read_detections
from meshpose_plugins.detection.boxes import check_boxes, parse_bbox
from meshpose_plugins.detection.simple import AutoDetector, HOGDetector, WholeImageDetector
from meshpose_plugins.detection.torchvision_models import TorchvisionDetector

__all__ = [
    'AutoDetector',
    'HOGDetector',
    'PersonDetector',
    'TorchvisionDetector',
    'WholeImageDetector',
    'build_detector',
    'check_boxes',
    'detector_names',
    'parse_bbox',
    'read_detections',
    'register_detector',
]
