"""Pictures from strangers become plain RGB, or a fault that names the field."""

import base64
import hashlib
import io
import random
import struct
import zlib

import pytest
from PIL import Image

from jobs.catalogue import Limits
from jobs.inputs import ImageToImage, Inpaint, OutputFormat, TextToImage
from jobs.samples import sample_png
from serve_app import media
from serve_app.errors import InvalidInput, JobFault, Unsupported

LIMITS = Limits(min_side=64, max_side=256, max_pixels=128 * 256)


def picture(width=64, height=64, *, mode="RGB", color=None):
    """A picture with something in it."""
    return (
        Image.linear_gradient("L").resize((width, height)).convert(mode)
        if color is None
        else (Image.new(mode, (width, height), color))
    )


def as_base64(image, kind="PNG", **options):
    """`image` as base64 of a file."""
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def from_image(source, **fields):
    """An image-to-image input."""
    return ImageToImage(prompt="a house", image=source, **fields)


def png_header(width, height):
    """A PNG of a few bytes that claims to be of that size."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0"))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")).decode()


BAD = {
    "not base64": "%%%",
    "nothing": "data:image/png;base64,",
    "no picture": base64.b64encode(b"hello").decode(),
    "gif": as_base64(picture(), "GIF"),
    "tiff": as_base64(picture(), "TIFF"),
    "svg": base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode(),
    "truncated png": as_base64(picture())[:200],
    "truncated jpeg": as_base64(picture(), "JPEG")[:400],
    "no pixels": png_header(64, 64),
    "animated webp": as_base64(
        picture(), "WEBP", save_all=True, append_images=[picture(color=(9, 9, 9))]
    ),
    "animated png": as_base64(
        picture(), "PNG", save_all=True, append_images=[picture(color=(9, 9, 9))]
    ),
    "data uri without base64": "data:image/png,abc",
    "data uri without data": "data:image/png;base64",
}


@pytest.mark.parametrize("source", BAD.values(), ids=BAD)
def test_a_bad_image_is_a_fault_that_names_its_field(source):
    """Whatever is wrong with the bytes, the client learns which field it was."""
    with pytest.raises(InvalidInput, match=r"^/input/image: "):
        media.sources(from_image(source), LIMITS)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [6_400, 10_000, 60_000])
def test_a_picture_of_too_many_megapixels_is_refused_by_its_header(side):
    """No pixel of a decompression bomb is unpacked."""
    with pytest.raises(InvalidInput, match=r"/input/image: has more than 40 megapixels"):
        media.sources(from_image(png_header(side, side)), LIMITS)


@pytest.mark.parametrize("source", ["s3://bucket/key", "https://example.com/a.png", "HTTP://a/b"])
def test_a_picture_elsewhere_is_unsupported(source):
    """We fetch nothing for strangers, and say so."""
    with pytest.raises(Unsupported, match=r"/input/image: .* is not fetched"):
        media.sources(from_image(source), LIMITS)


def test_no_damaged_file_gets_past_the_fault_types():
    """Files damaged at random are read or refused, never an error of another type."""
    rng = random.Random(7)
    originals = [base64.b64decode(as_base64(picture(), kind)) for kind in ("PNG", "JPEG", "WEBP")]
    for number in range(600):
        data = bytearray(originals[number % 3])
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        source = base64.b64encode(data).decode()
        try:
            media.sources(from_image(source, width=64, height=64), LIMITS)
        except JobFault as fault:
            assert str(fault).startswith("/input/image: ")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("uri", [False, True])
def test_the_three_formats_are_read_bare_and_as_data_uri(kind, uri):
    """PNG, JPEG and WebP, as base64 with or without the head of a data URI."""
    source = as_base64(picture(), kind)
    given = media.sources(from_image(f"data:image/x;base64,{source}" if uri else source), LIMITS)
    assert given.image.mode == "RGB"
    assert given.image.size == (64, 64)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_colour_mode_becomes_rgb(mode):
    """Palettes, grey and transparency are the file's business, not the model's."""
    image = Image.new("I;16", (64, 64), 40_000) if mode == "I;16" else picture(mode=mode)
    assert media.sources(from_image(as_base64(image)), LIMITS).image.mode == "RGB"


def test_a_photo_is_turned_upright_and_its_metadata_dropped():
    """EXIF may turn a picture; where it was taken goes no further."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "at home"
    image = media.sources(from_image(as_base64(picture(128, 64), "JPEG", exif=exif)), LIMITS).image
    assert image.size == (64, 128)
    assert not image.getexif().get(0x010E)


def test_without_a_size_the_image_is_cut_to_the_models_multiple():
    """The VAE takes sides that are multiples of its factor."""
    given = media.sources(from_image(as_base64(picture(101, 79))), LIMITS)
    assert given.image.size == (96, 72)


def test_a_size_given_resizes_image_and_mask():
    """Both end at the job's size."""
    wanted = Inpaint(
        prompt="a house",
        image=as_base64(picture(300, 200)),
        mask_image=as_base64(picture(30, 20, mode="L", color=255)),
        width=128,
        height=64,
    )
    given = media.sources(wanted, LIMITS)
    assert given.image.size == given.mask.size == (128, 64)
    assert given.mask.mode == "L"


def test_a_resized_mask_stays_black_and_white():
    """Grey along the edges would be neither painted nor kept."""
    mask = picture(32, 32, mode="L", color=0)
    mask.paste(255, (0, 0, 15, 32))
    wanted = Inpaint(prompt="a", image=sample_png(64, (1, 2, 3)), mask_image=as_base64(mask))
    assert {value for _, value in media.sources(wanted, LIMITS).mask.getcolors()} == {0, 255}


def test_a_bad_mask_names_the_mask():
    """The pointer tells image and mask apart."""
    wanted = Inpaint(prompt="a", image=sample_png(64, (1, 2, 3)), mask_image="%%%")
    with pytest.raises(InvalidInput, match=r"^/input/mask_image: not base64"):
        media.sources(wanted, LIMITS)


@pytest.mark.parametrize("size", [(32, 64), (512, 64), (256, 256)])
def test_an_image_outside_the_models_limits_is_refused(size):
    """Too small, too long, too many pixels: the message says how to get it in."""
    with pytest.raises(InvalidInput, match=r"/input/image: .*give width and height to resize"):
        media.sources(from_image(as_base64(picture(*size))), LIMITS)


def test_text_to_image_has_no_sources():
    """Nothing to decode."""
    assert media.sources(TextToImage(prompt="a house"), LIMITS) == media.Sources()


@pytest.mark.parametrize("output_format", OutputFormat)
def test_an_encoded_picture_is_what_it_says(output_format):
    """Media type, size and digest describe the bytes."""
    image = picture(72, 64)
    file = media.encode(image, output_format)
    data = base64.b64decode(file.base64)
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    with Image.open(io.BytesIO(data)) as read:
        assert read.get_format_mimetype() == file.media_type == output_format.media_type
        assert read.size == (file.width, file.height) == (72, 64)
        if output_format is OutputFormat.PNG:
            assert read.tobytes() == image.tobytes()
