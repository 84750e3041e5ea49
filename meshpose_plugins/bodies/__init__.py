"""Full-resolution body models behind one protocol; used to build templates and data, never at inference."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from .base import COCO_KEYPOINT_NAMES, BodyModel, PosedBody

__all__ = ["BODY_NAMES", "BodyModel", "COCO_KEYPOINT_NAMES", "PosedBody", "load_body"]

BODY_NAMES = ("anny",)


@lru_cache(maxsize=None)
def load_body(name: str) -> BodyModel:
    """Load a body model by its name; a second call returns the same object.

    Args:
        name: one of BODY_NAMES.

    Returns:
        The body model.

    Raises:
        ValueError: if the name is not known.
    """
    if name == "anny":
        from .anny import AnnyBody

        return AnnyBody.load(Path(__file__).parent / "assets" / "anny.npz")
    raise ValueError(f"unknown body {name!r}; known bodies: {', '.join(BODY_NAMES)}")
