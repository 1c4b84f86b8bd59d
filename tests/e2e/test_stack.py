"""The local stack as a guest on somebody's machine: what it opens, says and leaves behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from client.client import Client
from darkroom.errors import StackError
from darkroom.ports import Ports
from darkroom.stack import Stack, StackOptions
from jobs.inputs import Task
from jobs.samples import sample_request

LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


def tree(pids: list[int]) -> list[psutil.Process]:
    """The processes and all below them."""
    roots = [psutil.Process(pid) for pid in pids]
    return [p for root in roots for p in (root, *root.children(recursive=True))]


def test_every_listener_is_on_loopback(stack: Stack, client: Client):
    """With a replica up, so that Ray's own ports are all open."""
    client.wait(client.submit(sample_request()).uid, timeout_s=120)
    listeners = [
        (process.name(), connection.laddr)
        for process in tree([each.pid for each in stack.processes.values()])
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listeners) > 10
    assert [each for each in listeners if each[1].ip not in LOOPBACK] == []


def test_ray_s_dashboard_wants_its_token(stack: Stack):
    """Its job API runs code."""
    url = f"{stack.dashboard_url}/api/serve/applications/"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"authorization": "Bearer wrong"}).status_code == 403
    answer = httpx.get(url, headers={"authorization": f"Bearer {stack.ray_token}"})
    assert answer.status_code == 200
    assert set(answer.json()["applications"]) == {"first", "second"}


def test_no_key_prompt_or_body_is_in_any_log(stack: Stack, client: Client):
    """Of the whole run, Ray's own session included."""
    prompt = "xylophone-of-the-ninth-gate"
    picture = sample_request(Task.IMAGE_TO_IMAGE, prompt=prompt)
    view = client.wait(client.submit(picture).uid, timeout_s=120)
    with pytest.raises(Exception, match="nonsense"):
        client.submit(sample_request(prompt=prompt, nonsense=prompt))
    texts = [stack.logs()]
    texts += [
        file.read_text("utf-8", "replace")
        for file in (stack.home / "ray").rglob("*")
        if file.is_file() and file.suffix in (".log", ".out", ".err")
    ]
    text = "\n".join(texts)
    assert view.uid in text
    for secret in (prompt, stack.api_key, stack.ray_token, str(picture["input"]["image"])[:64]):  # type: ignore[index]
        assert secret not in text


def test_each_transition_is_one_line_with_its_ids(stack: Stack, client: Client):
    """uid, tenant, attempt and trace."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = httpx.post(
        f"{stack.api_url}/v1/jobs",
        headers={"x-api-key": stack.api_key, "traceparent": trace},
        json={**sample_request(), "runtime": "first"},
    )
    uid = answer.json()["uid"]
    client.wait(uid, timeout_s=120)
    lines = [line for line in stack.logs().splitlines() if uid in line]
    for transition in ("accepted", "published", "leased", "started", "succeeded"):
        of_transition = [line for line in lines if transition in line]
        assert of_transition, transition
        assert all(trace in line for line in of_transition)


def test_the_command_line_makes_a_picture_and_leaves_nothing_running(
    stack: Stack, stack_environ: dict[str, str], tmp_path: Path
):
    """`darkroom demo`, beside a stack that is already there; a word too many is told."""
    catalogue = yaml.safe_load(Path(stack_environ["DARKROOM_RUNTIMES"]).read_text())
    catalogue["runtimes"]["first"]["default_model"] = "demo"
    changed = tmp_path / "runtimes.yaml"
    changed.write_text(yaml.safe_dump(catalogue))
    stack_environ = {**stack_environ, "DARKROOM_RUNTIMES": str(changed)}
    command = [sys.executable, "-m", "darkroom", "demo", "a dragon", "--out", str(tmp_path)]
    demo = subprocess.Popen(
        [*command, "--json"],
        env={**os.environ, **stack_environ, "TMPDIR": tempfile.gettempdir()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen: set[psutil.Process] = set()
    while demo.poll() is None:
        seen |= set(tree([demo.pid])[1:])
        time.sleep(0.2)
    stdout, stderr = demo.communicate()
    assert demo.returncode == 0, stderr
    assert "note: the model does not know dragon; it knows a, above" in stderr
    shown = json.loads(stdout)
    (image,) = [Path(path) for path in shown["images"]]
    assert image.parent == tmp_path
    assert image.read_bytes().startswith(b"\x89PNG")
    points = set(shown["timeline_s"])
    assert points >= {"accepted", "published", "leased", "started", "denoise", "uploaded"}
    assert points >= {"recorded", "notified"}
    assert shown["notice"]["result"] is True

    assert len(seen) > 10
    _gone, alive = psutil.wait_procs(list(seen), timeout=10)
    assert alive == []
    assert httpx.get(f"{stack.api_url}/healthz").status_code == 200


def test_a_stack_whose_starter_is_killed_goes_with_it(stack_environ: dict[str, str]):
    """kill -9 leaves no chance to clean up; nothing must keep running all the same."""
    up = subprocess.Popen(
        [sys.executable, "-m", "darkroom", "up", "--json"],
        env={**os.environ, **stack_environ},
        stdout=subprocess.PIPE,
        text=True,
        cwd=tempfile.mkdtemp(),
    )
    assert up.stdout is not None
    description = json.loads(up.stdout.readline())
    assert description["api"].startswith("http://127.0.0.1:")
    children = tree([up.pid])[1:]
    os.kill(up.pid, signal.SIGKILL)
    up.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    shutil.rmtree(description["logs"])  # nobody was left who could
    assert alive == []


def test_a_taken_port_is_one_clear_sentence(stack: Stack):
    """Not a traceback; exit 2."""
    port = str(stack.options.ports.api)
    up = subprocess.run(
        [sys.executable, "-m", "darkroom", "up", "--api-port", port],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert up.returncode == 2
    assert up.stderr.strip() == f"port {port} (api) is taken; free it or choose another"


def test_a_broken_catalogue_is_one_clear_sentence_and_leaves_nothing(tmp_path: Path):
    """Its entry is named, and what was started is stopped."""
    broken = tmp_path / "runtimes.yaml"
    broken.write_text("runtimes: {demo: {models: {}}}")
    temp = tmp_path / "temp"
    temp.mkdir()
    up = subprocess.run(
        [sys.executable, "-m", "darkroom", "up"],
        env={**os.environ, "DARKROOM_RUNTIMES": str(broken), "TMPDIR": str(temp)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert up.returncode == 2
    assert "models" in up.stderr
    assert "Traceback" not in up.stderr
    assert list(temp.iterdir()) == []


def test_two_sets_of_free_ports_have_nothing_in_common():
    """What lets two stacks run side by side."""
    ports = [port for _ in range(2) for port in vars(Ports.free()).values()]
    assert len(set(vars(Ports.free()).values())) == 5
    assert all(port > 1023 for port in ports)


def test_a_stack_that_cannot_start_says_why_and_leaves_nothing(
    stack_environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A port that is taken only when the process wants it."""
    taken = Ports.free()
    options = StackOptions(ports=taken, ui=False, environ=stack_environ)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", taken.aws))
        holder.listen()
        with pytest.raises(StackError, match="aws"), Stack.running(options):
            raise AssertionError("it must not start")
    assert list(tmp_path.iterdir()) == []
