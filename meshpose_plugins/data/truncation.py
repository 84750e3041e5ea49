"""Boxes around a part of a body, as selfies and portraits show it."""

from __future__ import annotations

import numpy as np

#: Regions and the COCO keypoints in them; a region needs a shoulder and so many keypoints.
REGIONS = {'head_shoulders': tuple(range(7)), 'half_body': tuple(range(13))}
_SHOULDERS = (5, 6)
_LEAST_KEYPOINTS = {'head_shoulders': 3, 'half_body': 5}


def region_box(
    keypoints: np.ndarray,  # (17, 2)
    labelled: np.ndarray,  # (17,)
    region: str,
    padding: float,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the box around the keypoints of a region.

    Args:
        keypoints: COCO keypoints, image px.
        labelled: which of them count, bool.
        region: 'head_shoulders' (face and shoulders) or 'half_body' (down to the hips, with the arms).
        padding: the box's size relative to the keypoints' extent; 1.5 shows a head to its top.

    Returns:
        center (2,) and scale (2,), float32 image px; None where too few keypoints are labelled.

    Raises:
        ValueError: an unknown region.
    """
    if region not in REGIONS:
        raise ValueError(f"region must be one of {', '.join(map(repr, REGIONS))}, got {region!r}")
    ids = np.array(REGIONS[region])
    ids = ids[np.asarray(labelled, bool)[ids]]
    if len(ids) < _LEAST_KEYPOINTS[region] or not np.isin(_SHOULDERS, ids).any():
        return None
    low, high = keypoints[ids].min(0), keypoints[ids].max(0)
    extent = high - low
    # A profile's keypoints are nearly in line; the body is not.
    size = padding * np.maximum(extent, 0.6 * extent.max())
    if not np.isfinite(size).all() or size.max() <= 1:
        return None
    return ((low + high) / 2).astype(np.float32), size.astype(np.float32)
