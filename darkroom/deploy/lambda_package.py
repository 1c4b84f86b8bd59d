"""The Lambda's zip, made when it is not there or older than what goes into it."""

from pathlib import Path

from darkroom.deploy.wanted import ROOT
from darkroom.lambda_zip import PACKAGES, build

ARCHITECTURE, PYTHON = "arm64", "3.13"
PACKAGE = ROOT / f"build/lambda-{ARCHITECTURE}-python{PYTHON}.zip"


def build_package(to: Path = PACKAGE) -> bool:
    """Make it if that is needed; whether it was."""
    if to.exists() and to.stat().st_mtime >= _newest():
        return False
    build(architecture=ARCHITECTURE, python=PYTHON, out=to)
    return True


def _newest() -> float:
    files = [ROOT / "runtimes.yaml", ROOT / "constraints.txt"]
    files += [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return max(path.stat().st_mtime for path in files)
