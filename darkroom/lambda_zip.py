"""The zip of the API for Lambda: `python -m darkroom.lambda_zip --arch arm64 --python 3.13`.

The same sources and constraints give the same bytes. Wheels come for the machine that Lambda
has, not for this one; nothing is compiled.
"""

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("api", "records", "jobs")
#: What our three packages import; everything beneath comes by itself, in pinned versions.
REQUIREMENTS = (
    "boto3",
    "fastapi",
    "fastapi-offline",
    "mangum",
    "pydantic",
    "pyyaml",
    "structlog",
    "uuid6",
)
#: The services that our code calls: botocore's descriptions of all others are 28 of 30 MB.
SERVICES = ("dynamodb", "s3", "secretsmanager", "sns", "sqs", "sts")
#: glibc of Amazon Linux 2023, which Lambda's Pythons from 3.12 on run on, and older ones.
_GLIBC = ("2_34", "2_28", "2_27", "2_26", "2_24", "2_17", "2014")
_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
#: The earliest moment that a zip can name.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def build(*, architecture: str, python: str, out: Path) -> None:
    """Write the zip to `out`."""
    with tempfile.TemporaryDirectory(prefix="darkroom-lambda-") as folder:
        target = Path(folder)
        _install(target, architecture, python)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, target / package)
        shutil.copy(ROOT / "runtimes.yaml", target)
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(target, out)


def _install(target: Path, architecture: str, python: str) -> None:
    machine = _MACHINES[architecture]
    glibcs = [f"--platform=manylinux{'_' * (glibc != '2014')}{glibc}_{machine}" for glibc in _GLIBC]
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--target", str(target), "--constraint", str(ROOT / "constraints.txt")),
        *("--only-binary=:all:", "--implementation=cp", f"--python-version={python}"),
        *(*glibcs, "--no-compile", *REQUIREMENTS),
    ]
    subprocess.run(command, check=True)  # noqa: S603  # our own pip


def _write(folder: Path, out: Path) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(_kept(folder)):
            entry = zipfile.ZipInfo(str(file.relative_to(folder)), _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # Lambda runs as another user: everybody may read.
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes())


def _kept(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).parts
        if not file.is_file() or "__pycache__" in parts or parts[0] == "bin":
            continue
        # Of where and how a package was installed they tell, and nothing asks.
        if parts[0].endswith(".dist-info") and file.name in ("RECORD", "REQUESTED", "INSTALLER"):
            continue
        if parts[:2] == ("botocore", "data") and len(parts) > 3 and parts[2] not in SERVICES:
            continue
        if parts[:2] == ("boto3", "data") and len(parts) > 3 and parts[2] not in SERVICES:
            continue
        yield file


def main(arguments: list[str]) -> int:
    """The process's exit status."""
    parser = argparse.ArgumentParser(prog="darkroom.lambda_zip", description=__doc__)
    parser.add_argument("--arch", choices=[*_MACHINES, "host"], default="arm64")
    parser.add_argument("--python", default="3.13")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    names = {machine: name for name, machine in _MACHINES.items()}
    architecture = names[platform.machine()] if given.arch == "host" else given.arch
    out = given.out or ROOT / f"build/lambda-{architecture}-python{given.python}.zip"
    build(architecture=architecture, python=given.python, out=out)
    sys.stdout.write(f"{out}: {out.stat().st_size / 2**20:.1f} MiB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
