"""A Serve that makes the same image of every job, and the bridge of the applied stack before it."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from terraform import ROOT, aws_environ

from bridge.scripted import ROOM_FOR_FOUR, success
from darkroom.ports import HOST, Ports
from darkroom.process import StackProcess


@contextmanager
def serving() -> Iterator[str]:
    """Its address."""
    app = FastAPI()

    @app.get("/capacity")
    def capacity():
        return ROOM_FOR_FOUR

    @app.post("/generate")
    def generate():
        lines = (event.model_dump_json() + "\n" for event in success())
        return StreamingResponse(lines, media_type="application/x-ndjson")

    port = Ports.free().serve
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def bridging(applied, serve: str, folder: Path) -> Iterator[StackProcess]:
    """The bridge of the runtime `demo`, configured by Terraform's outputs alone."""
    config = applied.outputs["app_config"]
    process = StackProcess(
        "bridge",
        [sys.executable, "-m", "bridge"],
        env=aws_environ(applied.emulator.address)
        | config["shared"]
        | config["bridge-demo"]
        # What the cluster knows and Terraform does not.
        | {"DARKROOM_SERVE_URL": serve, "DARKROOM_RUNTIMES": str(ROOT / "runtimes.yaml")}
        | {"DARKROOM_LONG_POLL_S": "1", "PYTHONPATH": str(ROOT)},
        log=folder / "log",
    )
    try:
        yield process
    finally:
        process.stop(grace_s=30)
