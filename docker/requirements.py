"""What a target of the Dockerfile installs: our dependencies and those of some extras.

Read from pyproject.toml, so that no second list exists; without our code, so that a change of it
installs nothing anew.
"""

import sys
import tomllib
from pathlib import Path


def requirements(extras: list[str]) -> list[str]:
    """All of them, sorted, each once."""
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    found = list(project["dependencies"])
    for extra in extras:
        found += project["optional-dependencies"].get(extra, [])
    return sorted(set(found))


if __name__ == "__main__":
    sys.stdout.writelines(f"{each}\n" for each in requirements(sys.argv[1:]))
