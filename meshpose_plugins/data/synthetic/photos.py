"""Pictures for backgrounds, clothes and occluders: photographs of a folder, or procedural ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np

from meshpose_plugins.files import written_aside
from PIL import Image

from meshpose_plugins.data.synthetic.procedural import procedural_picture

PHOTO_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')
#: Photographs are kept with this many pixels on their longer side.
PHOTO_SIDE = 512
#: Public-domain (CC0, NASA) photographs without people inside the scikit-image wheel.
FREE_PHOTOS = ('brick.png', 'chelsea.png', 'coffee.png', 'grass.png', 'gravel.png', 'hubble_deep_field.jpg',
               'moon.png', 'rocket.jpg')
#: About one file in ten is held out for validation.
_HELD_OUT = 0.1


def in_split(name: str, split: str) -> bool:
    """Say whether a file belongs to a split, by the hash of its name alone (about a tenth is 'val')."""
    digest = hashlib.sha256(name.encode('utf-8')).digest()
    held_out = int.from_bytes(digest[:4], 'big') < _HELD_OUT * 2 ** 32
    return held_out == (split == 'val')


def find_photos(folder: str | Path, split: str) -> list[Path]:
    """List the photographs below a folder that belong to a split, in the order of their relative names.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no photograph (of this split).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder}: no such folder of backgrounds')
    found = sorted(p for p in folder.rglob('*') if p.suffix.lower() in PHOTO_SUFFIXES and p.is_file())
    if not found:
        raise ValueError(f'{folder}: no photographs ({", ".join(PHOTO_SUFFIXES)}) for backgrounds')
    kept = [p for p in found if in_split(p.relative_to(folder).as_posix(), split)]
    if not kept:
        raise ValueError(
            f"{folder}: none of its {len(found)} photographs falls in split '{split}' (about one in ten is "
            f"'val'); give more, or use --backgrounds procedural"
        )
    return kept


def free_photos() -> list[Path]:
    """List the public-domain photographs of scikit-image; empty where it is not installed."""
    from importlib.util import find_spec
    spec = find_spec('skimage')
    if spec is None or not spec.submodule_search_locations:
        return []
    folder = Path(next(iter(spec.submodule_search_locations))) / 'data'
    return [folder / name for name in FREE_PHOTOS if (folder / name).is_file()]


def read_photo(path: Path) -> np.ndarray:
    """Read one photograph as (h, w, 3) uint8 RGB, at most PHOTO_SIDE px long.

    Raises:
        ValueError: it is no readable picture.
    """
    try:
        with Image.open(path) as file:
            # Large JPEGs are decoded at a fraction of their size, which is all that is kept.
            file.draft('RGB', (PHOTO_SIDE, PHOTO_SIDE))
            photo = np.asarray(file.convert('RGB'))
    except (OSError, ValueError) as error:
        raise ValueError(f'{path}: no readable picture ({error}); remove it from the backgrounds') from None
    scale = PHOTO_SIDE / max(photo.shape[:2])
    if scale < 1:
        size = (max(round(photo.shape[1] * scale), 8), max(round(photo.shape[0] * scale), 8))
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(photo)


def pack_photos(paths: list[Path], target: Path) -> None:
    """Store photographs in a file that many processes map: (n, 2) rows and columns, then the pixels."""
    photos = [read_photo(path) for path in paths]
    sizes = np.array([p.shape[:2] for p in photos], np.int64).reshape(-1, 2)
    with written_aside(target) as temporary, open(temporary, 'wb') as stream:
        np.save(stream, sizes)
        np.save(stream, np.concatenate([p.reshape(-1) for p in photos]) if photos else np.zeros(0, np.uint8))


class PictureSource:
    """Random pictures: crops of photographs where there are any, else (and now and then) procedural ones.

    Args:
        packed: file written by :func:`pack_photos`, or None for procedural pictures only.
        procedural_share: share of procedural pictures when there are photographs.
    """

    def __init__(self, packed: str | Path | None = None, procedural_share: float = 0.25) -> None:
        self.photos: list[np.ndarray] = []
        if packed is not None:
            with open(packed, 'rb') as stream:
                sizes = np.load(stream)
                version = np.lib.format.read_magic(stream)
                if version != (1, 0):
                    raise ValueError(f'{packed}: unexpected array version {version}')
                shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
                offset = stream.tell()
            if shape[0]:
                pixels = np.memmap(packed, dtype=dtype, mode='r', offset=offset, shape=shape)
                ends = np.cumsum(sizes[:, 0] * sizes[:, 1] * 3)
                self.photos = [
                    pixels[end - h * w * 3 : end].reshape(h, w, 3) for end, (h, w) in zip(ends, sizes)
                ]
        # Few photographs repeat too often to be seen alone.
        self.procedural_share = max(procedural_share, 1 - len(self.photos) / 16) if self.photos else 1.0

    def picture(self, rng: np.random.Generator, width: int, height: int, smallest: float = 0.3) -> np.ndarray:
        """Return a random (height, width, 3) uint8 RGB picture.

        Args:
            smallest: a photograph is cut to at least this share of its largest window of that shape.
        """
        if rng.random() < self.procedural_share:
            return procedural_picture(rng, width, height, 14 if width * height > 128 * 128 else 5)
        photo = self.photos[rng.integers(len(self.photos))]
        rows, columns = photo.shape[:2]
        scale = rng.uniform(smallest, 1.0) * min(columns / width, rows / height)
        w, h = max(int(width * scale), 2), max(int(height * scale), 2)
        x, y = rng.integers(columns - w + 1), rng.integers(rows - h + 1)
        crop = photo[y:y + h, x:x + w]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        # np.array: OpenCV needs a plain, writable array, not a view of the mapped file.
        return cv2.resize(
            np.array(crop), (width, height), interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
        )
