"""detectron2: its detectors as person detectors for the demo."""
