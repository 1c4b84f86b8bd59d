"""Write docker/serve-gpu.lock: what serve-gpu installs, with the hash of every wheel.

Resolved for Linux on amd64 without installing anything: neither a GPU nor that machine is needed.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from requirements import requirements

#: Of glibc 2.36, which Debian 12 has, and before: pip takes what is named and nothing older.
_PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(36, 4, -1)]
_PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]
LOCK = Path("docker/serve-gpu.lock")


def resolved(wanted: list[str]) -> dict:
    """Pip's own report of what it would install."""
    platforms = [word for each in _PLATFORMS for word in ("--platform", each)]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--only-binary=:all:", "--python-version", "3.11"]
        command += [*platforms, "--target", folder, "--report", str(report)]
        subprocess.run([*command, "-c", "constraints.txt", *wanted], check=True)  # noqa: S603
        return json.loads(report.read_text("utf-8"))


def main() -> None:
    """Resolve and write."""
    # Exactly that version: one with a suffix, such as +cpu, would count as newer.
    wanted = [each.replace("torch==", "torch===") for each in requirements(["serve"])]
    lines = ["# Written by `make lock-gpu`; for Linux on amd64, Python 3.11."]
    for item in sorted(
        resolved(wanted)["install"], key=lambda each: each["metadata"]["name"].lower()
    ):
        digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
        metadata = item["metadata"]
        lines.append(f"{metadata['name']}=={metadata['version']} --hash=sha256:{digest}")
    LOCK.write_text("\n".join(lines) + "\n", "utf-8")
    sys.stdout.write(f"{LOCK}: {len(lines) - 1} packages\n")


if __name__ == "__main__":
    main()
