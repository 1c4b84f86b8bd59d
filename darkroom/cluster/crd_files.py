"""`python -m darkroom.cluster.crd_files FOLDER`: download the definitions that we check against.

crds.json says where each is and what it must be, byte for byte: of the releases that
manifests/operators installs.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from darkroom.cluster.errors import CannotValidate

_LIST = Path(__file__).with_name("crds.json")
_TIMEOUT_S = 60


def pinned() -> Mapping[str, Mapping[str, str]]:
    """File -> its `url` and `sha256`."""
    files: Mapping[str, Mapping[str, str]] = json.loads(_LIST.read_text("utf-8"))
    return files


def gathered(to: Path, source: Path | None, client: httpx.Client) -> list[Path]:
    """All pinned files below `to`: from there or from `source` if they are the very ones."""
    paths = []
    for name, file in pinned().items():
        path = to / name
        if not _is_pinned(path, file):
            if source is not None and _is_pinned(source / name, file):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes((source / name).read_bytes())
            else:
                download(to, {name: file}, client)
        paths.append(path)
    return paths


def _is_pinned(path: Path, file: Mapping[str, str]) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]


def download(to: Path, files: Mapping[str, Mapping[str, str]], client: httpx.Client) -> None:
    """Write all of them; `CannotValidate` names one that is not what was pinned."""
    for name, file in files.items():
        try:
            answer = client.get(file["url"], follow_redirects=True).raise_for_status()
        except httpx.HTTPError as error:
            raise CannotValidate(f"{name}: {error}") from error
        if hashlib.sha256(answer.content).hexdigest() != file["sha256"]:
            raise CannotValidate(f"{name} at {file['url']} is not the file that was pinned")
        path = to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(answer.content)


def main(arguments: list[str]) -> int:
    """The process's exit status."""
    try:
        with httpx.Client(timeout=_TIMEOUT_S) as client:
            download(Path(arguments[0]), pinned(), client)
    except CannotValidate as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
