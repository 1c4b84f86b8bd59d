"""A client's picture made harmless: plain pixels in a file of our own.

What comes in was made by somebody we do not know. So only three decoders are tried, the size
is judged before any pixel is unpacked, and nothing but the pixels is kept. Serve then opens
files that we have written.
"""

import base64
import io
import struct
import zlib

from PIL import Image, ImageOps

from bridge.errors import BadPicture

_FORMATS = ("PNG", "JPEG", "WEBP")
#: 120 MB as RGB; beyond it a picture of a few kilobytes could fill the memory.
MAX_PIXELS = 40_000_000
#: All that Pillow raises on bytes that are not what they seem (OSError: truncated or unknown;
#: SyntaxError: broken PNG; the others: from within a decoder).
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    OverflowError,
    TypeError,
    struct.error,
    zlib.error,
)


def cleaned(data: bytes, mode: str) -> str:
    """The upright pixels of `data` in `mode` (RGB, L) as a PNG in base64; or `BadPicture`."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_header(image)
            image.load()
            upright = ImageOps.exif_transpose(image).convert(mode)
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except _UNREADABLE as error:
        raise BadPicture("it is not a readable PNG, JPEG or WebP image") from error
    upright.info.clear()
    file = io.BytesIO()
    # Level 1: it lives for the length of one request.
    upright.save(file, format="PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode()


def _check_header(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large()
    if getattr(image, "n_frames", 1) > 1:
        raise BadPicture("it has more than one frame")


def _too_large() -> BadPicture:
    return BadPicture(f"it has more than {MAX_PIXELS // 1_000_000} megapixels")
