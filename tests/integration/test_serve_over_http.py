"""The Serve app on a real Ray, seen over HTTP as a bridge sees it."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from serve_stack import TIMEOUT_S, make_job

from jobs.samples import sample_png
from jobs.stream import EVENT, Accepted, Error, Progress, Result

#: Some ten seconds if nobody stops it.
LONG = {"num_inference_steps": 900}


def read_until(lines, kind):
    """Read `lines` until an event of that kind; the event."""
    return next(event for event in map(EVENT.validate_json, lines) if isinstance(event, kind))


def until(condition):
    """Ask `condition` until it gives something true."""
    end = time.monotonic() + TIMEOUT_S
    while not (answer := condition()):
        assert time.monotonic() < end, condition
        time.sleep(0.05)
    return answer


def test_a_first_job_brings_up_a_first_replica(stack):
    """At zero nothing is ready and nothing wanted; a job changes both."""
    nothing = {
        "event": "capacity",
        "replicas_ready": 0,
        "replicas_wanted": 0,
        "admit_window": 4,
        "in_flight": 0,
        "load_error": None,
    }
    assert {**nothing, **stack.capacity()} == nothing
    first, *_, last = stack.events(make_job())
    assert isinstance(first, Accepted)
    assert isinstance(last, Result)
    until(lambda: stack.capacity()["in_flight"] == 0)
    capacity = until(lambda: (now := stack.capacity())["replicas_ready"] and now)
    assert (capacity["replicas_ready"], capacity["replicas_wanted"]) == (1, 1)


def test_the_ingress_says_that_it_is_there(stack):
    """`GET /healthz` needs no replica."""
    assert httpx.get(f"{stack.url}/demo/healthz").status_code == 200


def test_a_long_prompt_is_cut_with_a_warning(stack):
    """CLIP reads 77 tokens; the client is told."""
    result = stack.events(make_job(prompt="a red circle " * 60))[-1]
    assert "the model read the first 77" in result.warnings[0]


def test_a_bad_picture_fails_its_own_job_only(stack):
    """The fault names the field; the replica takes the next job."""
    *_, last = stack.events(make_job(task="image-to-image", image="%%%"))
    assert (last.code, last.retryable) == ("invalid_input", False)
    assert last.message.startswith("/input/image: ")
    *_, last = stack.events(make_job(task="image-to-image", image="s3://bucket/key"))
    assert last.code == "unsupported"
    assert isinstance(stack.events(make_job())[-1], Result)


def test_an_error_of_the_pipeline_fails_its_own_job_only(stack):
    """Told as its type and text. DDIM with an offset of 1 has no thousandth step."""
    *_, last = stack.events(make_job(num_inference_steps=1000))
    assert isinstance(last, Error)
    assert (last.code, last.retryable) == ("internal", False)
    assert last.message.startswith("IndexError: ")
    assert isinstance(stack.events(make_job())[-1], Result)


def test_closing_the_stream_of_a_running_job_stops_it(stack):
    """The device goes to the next job; the one that was left never finishes."""
    left = make_job(**LONG)
    with stack.post(left) as answer:
        lines = answer.iter_lines()
        read_until(lines, Progress)
        assert read_until(lines, Progress).stage == "denoise"
    assert isinstance(stack.events(make_job())[-1], Result)
    until(lambda: stack.transitions(left)[-1:] == ["canceled"])
    assert stack.transitions(left) == ["accepted", "started", "canceled"]


def test_closing_the_stream_of_one_job_does_not_stop_another(stack):
    """Both share each step; the one that was left ends, the other goes on."""
    running, left = make_job(**LONG), make_job(**LONG)
    with stack.post(running) as first:
        lines = first.iter_lines()  # httpx closes the stream with the iterator
        read_until(lines, Progress)
        with stack.post(left) as second:
            read_until(second.iter_lines(), Accepted)
        until(lambda: "canceled" in stack.transitions(left))
        seen = read_until(lines, Progress).step
        assert read_until(lines, Progress).step > seen
    assert "finished" not in stack.transitions(left)
    until(lambda: stack.capacity()["in_flight"] == 0)


def test_an_overloaded_app_answers_429_before_any_header_of_a_stream(stack):
    """Four share the device, eight wait: the next is told when to come again."""

    async def overload():
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:

            def send():
                body = make_job(**LONG).encode()
                request = client.build_request("POST", f"{stack.url}/demo/generate", content=body)
                return asyncio.ensure_future(client.send(request, stream=True))

            for _ in range(4):
                answer = await send()
                assert answer.status_code == 200
            waiting = {send() for _ in range(9)}
            refused, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
            answer = refused.pop().result()
            await answer.aread()
            return answer

    answer = asyncio.run(overload())
    assert answer.status_code == 429, answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "overloaded"
    until(lambda: stack.capacity()["in_flight"] == 0)
    assert isinstance(stack.events(make_job())[-1], Result)


def test_a_replica_killed_in_mid_stream_leaves_no_last_line(stack):
    """The stream breaks off; nothing pretends to be its end, and the next job succeeds."""
    events = []
    with stack.post(make_job(**LONG)) as answer, pytest.raises(httpx.RemoteProtocolError):
        for line in answer.iter_lines():
            events.append(EVENT.validate_json(line))
            if isinstance(events[-1], Progress) and events[-1].step == 1:
                stack.replica().send_signal(signal.SIGKILL)
    assert {type(event) for event in events} == {Accepted, Progress}
    assert isinstance(stack.events(make_job())[-1], Result)


def test_a_model_that_does_not_load_is_a_503_with_the_reason(stack):
    """The job is not kept waiting for a replica that cannot come; /capacity says why."""
    with stack.post(make_job(runtime="broken"), "broken") as answer:
        answer.read()
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["code"] == "unavailable"
    assert f"there is no directory {stack.folder}/gone" in answer.json()["detail"]
    assert "there is no directory" in stack.capacity("broken")["load_error"]


REFUSED = {
    "not json": (b"{", 400, "invalid_input", ""),
    "not a job": (b"{}", 400, "invalid_input", "/uid"),
    "beyond the limits": (
        make_job(num_inference_steps=1000, width=1024).encode(),
        400,
        "invalid_input",
        "/input/width",
    ),
    "another runtime's": (make_job(runtime="broken").encode(), 422, "unknown_runtime", "/runtime"),
    "unknown model": (make_job(model="sdxl").encode(), 422, "unknown_model", "/model"),
    "newer": (b'{"schema_version": 99}', 503, "unavailable", None),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_is_no_job_for_this_runtime_is_refused_with_a_pointer(stack, case):
    """Each refusal is problem details with a code and the place of the fault."""
    body, status, code, pointer = case
    with stack.post(body) as answer:
        answer.read()
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    if pointer is not None:
        assert pointer in [fault["pointer"] for fault in answer.json()["errors"]]


def test_nothing_listens_off_loopback(stack):
    """Neither Ray nor Serve nor a replica; v4 addresses may be written as v6."""
    stack.events(make_job())
    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in stack.processes()
        if process.is_running()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening
    assert {ip for ip in listening if not ip.startswith("127.") and ip != "::1"} == set()


def test_no_log_has_a_prompt_or_a_picture(stack):
    """Of a job that succeeds and of one that fails."""
    prompt, picture = "an unspeakable walrus " * 40, sample_png(64, (12, 34, 56))
    stack.events(make_job(prompt=prompt, task="image-to-image", image=picture))
    stack.events(make_job(prompt=prompt, task="image-to-image", image=picture[:90]))
    logs = stack.logs()
    assert "unspeakable walrus" not in logs
    assert picture[:60] not in logs


def test_a_stack_that_is_killed_takes_ray_with_it():
    """Ray's processes end with ours, even when it is given no time."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from serve_stack import running_stack\n"
        "with running_stack() as stack:\n"
        "    print(stack.process.pid, flush=True); sys.stdin.read()"
    )
    folder = str(Path(__file__).parent)
    with subprocess.Popen(
        [sys.executable, "-c", code, folder],
        cwd=Path(folder).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as runner:
        ours = psutil.Process(int(runner.stdout.readline()))
        # But Ray's two agents: they look for the controller for another minute, then end too.
        below = [
            process
            for process in ours.children(recursive=True)
            if not " ".join(process.cmdline()).strip().endswith("Agent")
        ]
        assert below
        ours.kill()
        _, left = psutil.wait_procs(below, timeout=TIMEOUT_S)
        runner.stdin.close()
        runner.wait(TIMEOUT_S)
    assert left == []
