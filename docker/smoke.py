"""`docker/smoke.py TAG`: one job through the built images.

The local stack, with each process of ours in a container of its image, on the network of this
machine; all else is as in `make demo`.
"""

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import httpx

from darkroom.demo import run_demo
from darkroom.ports import HOST
from darkroom.process import StackProcess
from darkroom.stack import Stack, StackOptions

#: Of all that a process of the stack is told, what a pod would be.
_TOLD = ("DARKROOM_", "AWS_", "RAY_", "OMP_")
#: The image of each package's programs.
_IMAGES = {"api": "api", "bridge": "bridge", "serve_app": "serve-cpu", "gradio_ui": "ui"}
#: What is elsewhere in an image than here; and nobody listens to the world.
_THERE = {
    "DARKROOM_RUNTIMES": "/srv/darkroom/runtimes.yaml",
    "DARKROOM_MODELS_ROOT": "/srv/darkroom",
    "DARKROOM_RAY_TEMP": "/tmp/ray",  # noqa: S108  # the container's own
    "DARKROOM_API_HOST": HOST,
    "DARKROOM_UI_HOST": HOST,
}


class ImageStack(Stack):
    """A local stack whose programs run from images."""

    tag = "latest"
    containers: ClassVar[list[str]] = []

    def _spawn(self, name: str, module: str, *arguments: str, **environ: str) -> StackProcess:
        image = _IMAGES.get(module.partition(".")[0])
        if image is None:
            return super()._spawn(name, module, *arguments, **environ)
        container = _buildah("from", f"localhost/darkroom-{image}:{self.tag}")
        self.containers.append(container)
        told = self.environ() | environ | _THERE
        words = [
            word
            for key, value in told.items()
            if key.startswith(_TOLD)
            for word in ("--env", f"{key}={value}")
        ]
        command = ["buildah", "run", "--isolation", "chroot", "--user", "10001:10001"]
        process = StackProcess(
            name,
            [*command, *words, container, "--", "python", "-m", module, *arguments],
            # Of buildah; the container has `words`.
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.home)},
            log=self.home / f"{name}.log",
        )
        self.processes[name] = process
        return process


def _buildah(*words: str) -> str:
    done = subprocess.run(["buildah", *words], check=True, capture_output=True, text=True)  # noqa: S603, S607
    return done.stdout.strip()


def main(tag: str) -> int:
    """The process's exit status."""
    ImageStack.tag = tag
    try:
        with ImageStack.running(StackOptions()) as stack:
            shown = run_demo(stack, prompt="a red circle on a blue background", out=Path("out"))
            page = httpx.get(stack.ui_url, trust_env=False)
    finally:
        if ImageStack.containers:
            _buildah("rm", *ImageStack.containers)
    sys.stdout.write(f"{shown.view.status}: {shown.post_to_notice_s:.1f} s, {shown.images[0]}\n")
    sys.stdout.write(f"{stack.ui_url}: {page.status_code}\n")
    return 0 if page.is_success else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
