"""Image files with something about them, made for real; what reads them must tell the bad from the unusual."""

import io

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 48


def photo(seed=0):
    """A smooth image (H, W, 3), RGB, of all brightnesses."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def encode(image, kind, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def encode_deep(values, ending):
    """16 bits a channel, of which Pillow writes no colours."""
    return cv2.imencode(ending, values[..., ::-1] if values.ndim == 3 else values)[1].tobytes()


def bad_files():
    """Contents by file name: each is bad, and why is in its name."""
    jpeg = encode(photo(), 'JPEG', quality=90)
    png = encode(photo(), 'PNG')
    preview = encode(photo(1), 'JPEG')
    exif = Image.Exif()
    exif[0x010E] = 'a description'
    with_exif = encode(photo(), 'JPEG', exif=exif.tobytes())
    # A preview, itself a whole JPEG file, in the metadata of one that is cut off.
    length = (len(preview) + 2).to_bytes(2, 'big')
    with_preview = jpeg[:2] + b'\xff\xe1' + length + preview + jpeg[2:]
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0xFF
    deep = photo()[..., 0].astype(np.uint16)
    return {
        'zero-byte.jpg': b'',
        'cut-off.jpg': jpeg[: len(jpeg) // 2],
        'cut-off-by-two-bytes.jpg': jpeg[:-2],
        'cut-off-in-the-header.jpg': jpeg[:100],
        'cut-off-after-its-preview.jpg': with_preview[: 6 + len(preview)],
        'cut-off-with-preview.jpg': with_preview[:-50],
        'cut-off-with-exif.jpg': with_exif[:-50],
        'cut-off-progressive.jpg': encode(photo(), 'JPEG', progressive=True)[:-200],
        'half-downloaded.jpg': jpeg[: len(jpeg) // 2] + bytes(len(jpeg) // 2),
        'cut-off.png': png[: len(png) // 2],
        'cut-off.webp': encode(photo(), 'WEBP')[:-50],
        'cut-off.bmp': encode(photo(), 'BMP')[:-50],
        'cut-off.tif': encode(photo(), 'TIFF')[:2000],
        'cut-off.ppm': encode(photo(), 'PPM')[:-50],
        'corrupt.png': bytes(flipped),
        'corrupt-header.jpg': jpeg[:2] + b'\0' * 60 + jpeg[62:],
        'text.jpg': b'not an image at all\n' * 20,
        'page.png': b'<!DOCTYPE html><html><body>404</body></html>',
        'postscript.jpg': b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n%%EOF\n',
        'twelve-of-sixteen-bits.png': encode(deep * 16, 'PNG'),
        'twelve-of-sixteen-bits-colour.png': encode_deep(photo().astype(np.uint16) * 16, '.png'),
        'invisible.png': encode(np.concatenate([photo(), np.zeros((HEIGHT, WIDTH, 1), np.uint8)], axis=2), 'PNG'),
        'floats.tif': encode(photo()[..., 0].astype(np.float32) / 255, 'TIFF'),
    }


def unusual_files():
    """Contents and expected RGB by file name: each is an image."""
    rgb = photo()
    grey = np.asarray(Image.fromarray(rgb).convert('L'))
    greys = np.repeat(grey[..., None], 3, axis=2)
    palette = Image.fromarray(rgb).convert('P')
    jpeg = encode(rgb, 'JPEG', quality=95)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees, clockwise
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[: HEIGHT // 2] = 0
    half = rgb.copy()
    half[: HEIGHT // 2] = (124, 117, 104)
    deep = rgb.astype(np.uint16) * 257
    black = np.concatenate([np.zeros_like(rgb), alpha], axis=2)
    black_on_canvas = np.zeros_like(rgb)
    black_on_canvas[: HEIGHT // 2] = (124, 117, 104)
    return {
        'plain.jpg': (jpeg, rgb),
        'progressive.jpg': (encode(rgb, 'JPEG', quality=95, progressive=True), rgb),
        'grey.jpg': (encode(grey, 'JPEG', quality=95), greys),
        'cmyk.jpg': (encode(Image.fromarray(rgb).convert('CMYK'), 'JPEG', quality=95), rgb),
        'cmyk.tif': (encode(Image.fromarray(rgb).convert('CMYK'), 'TIFF'), rgb),
        'trailing-bytes.jpg': (jpeg + b'appended by a camera' * 9, rgb),
        'trailing-zeros.jpg': (jpeg + bytes(100), rgb),
        'turned.jpg': (encode(rgb, 'JPEG', quality=95, exif=turned.tobytes()), np.rot90(rgb, -1)),
        'plain.png': (encode(rgb, 'PNG'), rgb),
        'grey.png': (encode(grey, 'PNG'), greys),
        'one-bit.png': (encode(Image.fromarray(rgb).convert('1'), 'PNG'), Image.fromarray(rgb).convert('1')),
        'palette.png': (encode(palette, 'PNG'), palette),
        'opaque.png': (encode(Image.fromarray(rgb).convert('RGBA'), 'PNG'), rgb),
        'transparent.png': (encode(np.concatenate([rgb, alpha], axis=2), 'PNG'), half),
        'black-on-transparent.png': (encode(black, 'PNG'), black_on_canvas),
        'sixteen-bits.png': (encode_deep(deep, '.png'), rgb),
        'sixteen-bits-grey.png': (encode(deep[..., 0], 'PNG'), np.repeat(rgb[..., :1], 3, axis=2)),
        'sixteen-bits.tif': (encode_deep(deep, '.tiff'), rgb),
        'sixteen-bits-grey.tif': (encode(deep[..., 0], 'TIFF'), np.repeat(rgb[..., :1], 3, axis=2)),
        'sixteen-bits.ppm': (encode_deep(deep, '.ppm'), rgb),
        'sixteen-bits-grey.pgm': (encode_deep(deep[..., 0], '.pgm'), np.repeat(rgb[..., :1], 3, axis=2)),
        'plain.bmp': (encode(rgb, 'BMP'), rgb),
        'plain.webp': (encode(rgb, 'WEBP', lossless=True), rgb),
        'png-named.jpg': (encode(rgb, 'PNG'), rgb),
        'jpeg-named.png': (jpeg, rgb),
        'gif-named.jpg': (encode(palette, 'GIF'), palette),
        'one-pixel.png': (encode(rgb[:1, :1], 'PNG'), rgb[:1, :1]),
        'black.png': (encode(np.zeros_like(rgb), 'PNG'), np.zeros_like(rgb)),  # a black image, as it was taken
    }
