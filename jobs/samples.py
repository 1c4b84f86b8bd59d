"""One valid request per task: for tests, the load test and the documentation."""

import base64
import struct
import zlib

from jobs.inputs import Task


def sample_png(side: int, rgb: tuple[int, int, int]) -> str:
    """A square PNG of one colour, as base64, made without an image library."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes(rgb) * side) * side
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return base64.b64encode(
        png + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    ).decode()


def sample_request(task: Task = Task.TEXT_TO_IMAGE, **changed: object) -> dict[str, object]:
    """A body for `POST /v1/jobs`; `changed` replaces fields of its input."""
    wanted: dict[str, object] = {
        "task": task.value,
        "prompt": "a red circle on a blue background",
        "num_inference_steps": 4,
        "seed": 7,
    }
    if task is not Task.TEXT_TO_IMAGE:
        wanted["image"] = sample_png(64, (30, 60, 200))
    if task is Task.INPAINT:
        wanted["mask_image"] = sample_png(64, (255, 255, 255))
    return {"input": {**wanted, **changed}}
