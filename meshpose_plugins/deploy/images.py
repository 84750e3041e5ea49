"""Reading photographs: any ordinary file becomes (H, W, 3) uint8 RGB, upright."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

IMAGE_SUFFIXES = ('.bmp', '.gif', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file as upright 8-bit RGB.

    EXIF rotation is applied, grayscale is repeated, 16-bit gray is scaled to 8 bits, transparency is put on
    white, and of several frames the first is taken.

    Args:
        path: the file.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no image or a broken one, naming the file and the reason.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'image {path} does not exist')
    try:
        with Image.open(path) as image:
            image.load()
            image = ImageOps.exif_transpose(image)
            return _to_rgb(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = 'empty file' if path.stat().st_size == 0 else str(error).replace(f"'{path}'", 'this file')
        raise ValueError(f'image {path} cannot be read: {reason}') from None


def _to_rgb(image: Image.Image) -> np.ndarray:
    """An opened image as (H, W, 3) uint8."""
    if image.mode.startswith('I'):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(
                f'mode {image.mode} with values {values.min()}..{values.max()}, expected 16 bits'
            )
        gray = np.round(values / 257).astype(np.uint8) if values.max() > 255 else values.astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.mode == 'F':
        raise ValueError('floating-point pixels: convert it to 8 or 16 bits')
    if 'A' in image.mode or 'transparency' in image.info:
        image = image.convert('RGBA')
        image = Image.alpha_composite(Image.new('RGBA', image.size, (255, 255, 255, 255)), image)
    return np.array(image.convert('RGB'))


def list_images(source: str | Path) -> list[Path]:
    """The image files that a user means by a path.

    Args:
        source: an image file, or a folder (not searched deeper).

    Returns:
        the file itself, or the folder's image files sorted by name.

    Raises:
        FileNotFoundError: if the path does not exist.
        ValueError: if the folder has no image.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f'{source} does not exist: expected an image or a folder of images')
    if not source.is_dir():
        return [source]
    images = sorted(p for p in source.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    if not images:
        raise ValueError(f'folder {source} has no image (looked for {", ".join(IMAGE_SUFFIXES)})')
    return images
