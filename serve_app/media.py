"""Pictures in and out: what a job sends becomes plain RGB, what a model paints becomes a file.

What comes in was made by somebody we do not know. So only three formats are tried, the size
is judged before any pixel is unpacked, and nothing but the pixels is kept.
"""

import base64
import binascii
import hashlib
import io
import struct
import zlib
from dataclasses import dataclass

from PIL import Image, ImageOps

from jobs.catalogue import Limits
from jobs.inputs import FromImage, GenerationInput, Inpaint, OutputFormat
from serve_app.errors import InvalidInput, Unsupported

FORMATS = ("PNG", "JPEG", "WEBP")
#: 120 MB as RGB; beyond it a picture of a few kilobytes could fill the memory.
MAX_PIXELS = 40_000_000
#: Saved options per format: no loss that one sees, at a time that does not count.
_SAVE: dict[OutputFormat, dict[str, int]] = {
    OutputFormat.PNG: {},
    OutputFormat.JPEG: {"quality": 95, "subsampling": 0},
    OutputFormat.WEBP: {"quality": 95},
}
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


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The pictures that a job starts from, ready for the model; of one size."""

    image: Image.Image | None = None
    mask: Image.Image | None = None


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A picture as a file."""

    media_type: str
    width: int
    height: int
    sha256: str
    base64: str


def sources(wanted: GenerationInput, limits: Limits) -> Sources:
    """Decode and fit the pictures of `wanted`; `InvalidInput` or `Unsupported` if one is bad."""
    if not isinstance(wanted, FromImage):
        return Sources()
    image = _decode(wanted.image, "/input/image", "RGB")
    size = _fitted(image.size, wanted, limits)
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    if not isinstance(wanted, Inpaint):
        return Sources(image=image)
    mask = _decode(wanted.mask_image, "/input/mask_image", "L")
    if mask.size != size:
        # A mask says yes or no; smoothing would say maybe along its edges.
        mask = mask.resize(size, Image.Resampling.NEAREST)
    return Sources(image=image, mask=mask)


def encode(image: Image.Image, output_format: OutputFormat) -> Encoded:
    """`image` as a file in base64, with its digest."""
    buffer = io.BytesIO()
    image.save(buffer, format=output_format.value, **_SAVE[output_format])
    data = buffer.getvalue()
    return Encoded(
        media_type=output_format.media_type,
        width=image.width,
        height=image.height,
        sha256=hashlib.sha256(data).hexdigest(),
        base64=base64.b64encode(data).decode(),
    )


def _decode(source: str, pointer: str, mode: str) -> Image.Image:
    """The upright pixels of `source`, without the file's metadata."""
    data = _bytes(source, pointer)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_header(image, pointer)
            image.load()
            upright = ImageOps.exif_transpose(image).convert(mode)
    except Image.DecompressionBombError as error:
        raise _too_large(pointer) from error
    except _UNREADABLE as error:
        raise InvalidInput(f"{pointer}: not a readable PNG, JPEG or WebP image") from error
    upright.info.clear()
    return upright


def _check_header(image: Image.Image, pointer: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(pointer)
    if getattr(image, "n_frames", 1) > 1:
        raise InvalidInput(f"{pointer}: has more than one frame")


def _too_large(pointer: str) -> InvalidInput:
    return InvalidInput(f"{pointer}: has more than {MAX_PIXELS // 1_000_000} megapixels")


def _bytes(source: str, pointer: str) -> bytes:
    scheme = source.partition(":")[0].lower() if ":" in source[:16] else ""
    if scheme in ("s3", "http", "https"):
        raise Unsupported(f"{pointer}: {scheme}:// is not fetched; send the image as base64")
    if scheme == "data":
        head, comma, source = source.partition(",")
        if not comma or not head.endswith(";base64"):
            raise InvalidInput(f"{pointer}: a data: URI must be data:image/...;base64,...")
    try:
        return base64.b64decode("".join(source.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"{pointer}: not base64") from error


def _fitted(size: tuple[int, int], wanted: FromImage, limits: Limits) -> tuple[int, int]:
    """The size to paint at: what the job says, else the image's, cut to what the VAE takes."""
    multiple = limits.side_multiple
    width = wanted.width or size[0] // multiple * multiple
    height = wanted.height or size[1] // multiple * multiple
    if not all(limits.min_side <= side <= limits.max_side for side in (width, height)):
        raise InvalidInput(
            f"/input/image: is {size[0]} x {size[1]} pixels, sides must be from "
            f"{limits.min_side} to {limits.max_side}; give width and height to resize it"
        )
    if width * height > limits.max_pixels:
        raise InvalidInput(
            f"/input/image: {width} x {height} is {width * height} pixels, "
            f"the most is {limits.max_pixels}; give width and height to resize it"
        )
    return width, height
