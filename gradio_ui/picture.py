"""An uploaded picture, made into one that a model takes."""

import base64
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from PIL import Image, ImageOps

from gradio_ui.control import Control, controls


def encode_pictures(schema: Mapping[str, Any], paths: Mapping[str, str | None]) -> dict[str, Any]:
    """The base64 PNGs of the files at `paths`, all of one size that the model can do."""
    known = controls(schema)
    encoded: dict[str, Any] = {}
    size = None
    for name, path in paths.items():
        if path is None or name not in known:
            continue
        with Image.open(path) as opened:
            # A phone's picture is turned by a tag that generation would not see.
            picture = ImageOps.exif_transpose(opened).convert("RGB")
        size = size or fitted(picture.size, known["width"], known["height"])
        data = BytesIO()
        picture.resize(size).save(data, format="PNG")
        encoded[name] = base64.b64encode(data.getvalue()).decode()
    return encoded


def fitted(size: tuple[int, int], width: Control, height: Control) -> tuple[int, int]:
    """`size` scaled into the model's bounds, each side on the grid that its VAE works on."""
    sides = tuple(zip(size, (width, height), strict=True))
    shrink = min(1.0, *((bounds.maximum or pixels) / pixels for pixels, bounds in sides))
    grow = max(1.0, *((bounds.minimum or 1) / (pixels * shrink) for pixels, bounds in sides))
    across, down = (_on_grid(pixels * shrink * grow, bounds) for pixels, bounds in sides)
    return across, down


def _on_grid(pixels: float, bounds: Control) -> int:
    # A panorama cannot satisfy both bounds: then the upper one holds and it is squeezed.
    most = bounds.maximum or pixels
    return int(min(round(pixels / bounds.step) * bounds.step, most))
