"""What dies, and what becomes of its jobs."""

import os
import signal
from collections.abc import Callable

import httpx
import psutil

from client.client import Client
from darkroom.stack import Stack
from jobs.samples import sample_request
from jobs.status import Status
from jobs.view import JobView

PATIENCE_S = 120
Slow = Callable[..., dict[str, object]]


def running(client: Client, uid: str) -> JobView:
    """The job once a replica has it and has done a step."""
    for view in client.watch(uid, timeout_s=PATIENCE_S):
        if view.status is Status.PROCESSING and view.progress.step:
            return view
    raise AssertionError(f"the job ended before it was seen running: {view}")


def replicas(stack: Stack, runtime: str) -> list[psutil.Process]:
    """The generator replicas of a runtime: processes with a name given by Ray."""
    serve = psutil.Process(stack.processes["serve"].pid)
    found = []
    for process in serve.children(recursive=True):
        words = " ".join(process.cmdline())
        if words.startswith(f"ray::ServeReplica:{runtime}:generator"):
            found.append(process)
    return found


def test_a_queued_job_is_canceled_at_once(client: Client, slow_request: Slow):
    """More jobs than the replica admits: the last one still waits in the queue."""
    uids = [client.submit(slow_request(seed=seed)).uid for seed in range(6)]
    view = client.cancel(uids[-1])
    assert view.status is Status.CANCELED
    for uid in uids:
        client.cancel(uid)
    assert {client.wait(uid, timeout_s=PATIENCE_S).status for uid in uids} == {Status.CANCELED}


def test_a_running_job_is_canceled_after_its_step(client: Client, slow_request: Slow):
    """And the replica is free for the next one."""
    uid = client.submit(slow_request()).uid
    running(client, uid)
    client.cancel(uid)
    view = client.wait(uid, timeout_s=PATIENCE_S)
    assert view.status is Status.CANCELED
    assert view.outputs == ()
    after = client.wait(client.submit(sample_request()).uid, timeout_s=PATIENCE_S)
    assert after.status is Status.SUCCEEDED


def test_a_job_whose_replica_is_killed_succeeds_in_another_attempt(
    client: Client, stack: Stack, slow_request: Slow
):
    """A stream without a last line is the infrastructure's fault."""
    uid = client.submit(slow_request(seed=1)).uid
    running(client, uid)
    (replica,) = replicas(stack, "first")
    os.kill(replica.pid, signal.SIGKILL)
    view = client.wait(uid, timeout_s=PATIENCE_S)
    assert view.status is Status.SUCCEEDED, view.error
    assert view.attempts == 2
    assert len(view.outputs) == 1


def test_a_job_whose_bridge_is_killed_succeeds_in_another_bridge(
    client: Client, stack: Stack, slow_request: Slow
):
    """After its lease and its message's visibility timeout."""
    uid = client.submit(slow_request(seed=2)).uid
    running(client, uid)
    os.kill(stack.processes["bridge-first-1"].pid, signal.SIGKILL)
    stack.stop_part("bridge-first-1")
    stack.start_bridge("first", 2)
    view = client.wait(uid, timeout_s=PATIENCE_S)
    assert view.status is Status.SUCCEEDED, view.error
    assert view.attempts == 2
    stack.start_bridge("first", 1)


def test_a_bridge_that_is_told_to_stop_gives_its_jobs_back(
    client: Client, stack: Stack, slow_request: Slow
):
    """SIGTERM and no grace: exit 0, and the job is with another bridge at once."""
    stack.stop_part("bridge-second-1")
    stack.start_bridge("second", 1, DARKROOM_GRACE_S="0")
    uid = client.submit({**slow_request(seed=3), "runtime": "second"}).uid
    running(client, uid)
    stack.start_bridge("second", 2)
    assert stack.stop_part("bridge-second-1") == 0
    view = client.wait(uid, timeout_s=PATIENCE_S)
    assert view.status is Status.SUCCEEDED, view.error
    assert view.attempts == 2


def test_an_api_that_is_killed_comes_back_and_knows_every_job(client: Client, stack: Stack):
    """It keeps nothing that is not in the table."""
    uid = client.submit(sample_request()).uid
    os.kill(stack.processes["api"].pid, signal.SIGKILL)
    stack.stop_part("api")
    api = stack.start_api()
    api.wait_until(lambda: _answers(stack), timeout_s=PATIENCE_S)
    assert client.wait(uid, timeout_s=PATIENCE_S).status is Status.SUCCEEDED


def _answers(stack: Stack) -> bool:
    try:
        return httpx.get(f"{stack.api_url}/healthz").status_code == 200
    except httpx.TransportError:
        return False
