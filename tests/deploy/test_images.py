"""Any ordinary image file becomes upright 8-bit RGB; anything else gets a message that names it."""

import numpy as np
import pytest
from PIL import Image

from meshpose_plugins.deploy.images import list_images, read_image


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def test_rgb_is_read_as_it_is(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / 'a.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'a.png'), picture)


def test_grayscale_palette_and_cmyk_become_rgb(tmp_path, picture):
    gray = picture[..., 0]
    Image.fromarray(gray).save(tmp_path / 'gray.png')
    np.testing.assert_array_equal(read_image(tmp_path / 'gray.png'), np.repeat(gray[..., None], 3, 2))
    for name, image in (
        ('p.gif', Image.fromarray(picture).convert('P')),
        ('c.jpg', Image.fromarray(picture).convert('CMYK')),
    ):
        image.save(tmp_path / name)
        read = read_image(tmp_path / name)
        assert read.shape == picture.shape and read.dtype == np.uint8


def test_transparency_is_put_on_white(tmp_path, picture):
    alpha = np.zeros((24, 40, 1), np.uint8)
    alpha[:, 20:] = 255
    Image.fromarray(np.concatenate([picture, alpha], 2)).save(tmp_path / 'rgba.png')
    read = read_image(tmp_path / 'rgba.png')
    assert (read[:, :20] == 255).all()
    np.testing.assert_array_equal(read[:, 20:], picture[:, 20:])


def test_sixteen_bit_gray_is_scaled(tmp_path):
    values = np.asarray([[0, 257, 32896, 65535]], np.uint16)
    for name in ('a.png', 'a.tif'):
        Image.fromarray(values).save(tmp_path / name)
        np.testing.assert_array_equal(read_image(tmp_path / name)[0, :, 1], [0, 1, 128, 255])


def test_exif_rotation_is_applied(tmp_path, picture):
    image = Image.fromarray(picture)
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    image.save(tmp_path / 'turned.png', exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / 'turned.png'), np.rot90(picture, -1))


def test_bad_files_are_named_with_the_reason(tmp_path, picture):
    with pytest.raises(FileNotFoundError, match='gone.jpg does not exist'):
        read_image(tmp_path / 'gone.jpg')
    (tmp_path / 'text.jpg').write_text('hello')
    Image.fromarray(np.tile(picture, (10, 10, 1))).save(tmp_path / 'whole.jpg')
    (tmp_path / 'cut.jpg').write_bytes((tmp_path / 'whole.jpg').read_bytes()[:2000])
    (tmp_path / 'empty.png').write_bytes(b'')
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / 'float.tif')
    for name, reason in (
        ('text.jpg', 'identify'),
        ('cut.jpg', 'truncated'),
        ('empty.png', 'empty'),
        ('float.tif', 'floating-point'),
    ):
        with pytest.raises(ValueError, match=f'{name} cannot be read: .*{reason}'):
            read_image(tmp_path / name)


def test_list_images(tmp_path, picture):
    with pytest.raises(ValueError, match='has no image'):
        list_images(tmp_path)
    for name in ('b.PNG', 'a.jpg'):
        Image.fromarray(picture).save(tmp_path / name)
    (tmp_path / 'notes.txt').write_text('x')
    assert [p.name for p in list_images(tmp_path)] == ['a.jpg', 'b.PNG']
    assert list_images(tmp_path / 'notes.txt') == [tmp_path / 'notes.txt']
    with pytest.raises(FileNotFoundError, match='expected an image or a folder'):
        list_images(tmp_path / 'gone')
