"""`docker/smoke.py TAG`: one job through the built images of API and bridge.

The local stack, with these two processes in containers, on the network of this machine; all
else is as in `make demo`.
"""

import subprocess
import sys
from pathlib import Path

from darkroom.demo import run_demo
from darkroom.process import StackProcess
from darkroom.stack import Stack, StackOptions

#: Of all that a process of the stack is told, what a pod would be.
_TOLD = ("DARKROOM_", "AWS_")


class ImageStack(Stack):
    """A local stack whose API and bridges run from images."""

    tag = "latest"

    def _spawn(self, name: str, module: str, *arguments: str, **environ: str) -> StackProcess:
        image = {"api": "api", "bridge": "bridge"}.get(module)
        if image is None:
            return super()._spawn(name, module, *arguments, **environ)
        container = _buildah("from", f"localhost/darkroom-{image}:{self.tag}")
        told = self.environ() | environ
        told |= {"DARKROOM_RUNTIMES": "/srv/darkroom/runtimes.yaml"}
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
    with ImageStack.running(StackOptions(ui=False)) as stack:
        shown = run_demo(stack, prompt="a red circle on a blue background", out=Path("out"))
    sys.stdout.write(f"{shown.view.status}: {shown.post_to_notice_s:.1f} s, {shown.images[0]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
