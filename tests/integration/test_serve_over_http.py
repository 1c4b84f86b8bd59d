"""The Serve app on a real Ray, seen over HTTP as a bridge sees it."""

import asyncio
import base64
import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image
from serve_stack import TIMEOUT_S, make_job, running_stack

from jobs.inputs import OutputFormat
from jobs.samples import sample_png
from jobs.stream import EVENT, Accepted, Error, Progress, Result
from jobs.stream import Image as ImageEvent

#: Some ten seconds if nobody stops it.
LONG = {"num_inference_steps": 900}
GRADIENT = Image.merge(
    "RGB", [Image.linear_gradient("L").resize((64, 64)).rotate(r) for r in (0, 90, 180)]
)


@pytest.fixture(scope="module")
def stack():
    """One Ray for all tests here; starting it takes seconds."""
    with running_stack() as running:
        yield running


def gradient_base64():
    """`GRADIENT` as base64 of a PNG."""
    buffer = io.BytesIO()
    GRADIENT.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def half_mask():
    """The left half white."""
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    return mask


def mask_base64():
    """`half_mask` as base64 of a PNG."""
    buffer = io.BytesIO()
    half_mask().save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


TASKS = {
    "text-to-image": {},
    "image-to-image": {"image": gradient_base64(), "strength": 0.7},
    "inpaint": {"image": gradient_base64(), "mask_image": mask_base64(), "strength": 1.0},
}


def pictures(events):
    """The decoded images among `events`, in order."""
    found = [event for event in events if isinstance(event, ImageEvent)]
    assert [event.index for event in found] == list(range(len(found)))
    return [Image.open(io.BytesIO(base64.b64decode(event.data))) for event in found]


def pixels(events):
    """The images of `events` as arrays."""
    return [np.asarray(image) for image in pictures(events)]


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


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("output_format", OutputFormat)
def test_every_task_gives_the_images_that_were_asked_for(stack, task, output_format):
    """As many, as large and in the format that the job says."""
    size = {"width": 72, "height": 64}
    job = make_job(
        task=task, num_images_per_prompt=2, output_format=output_format, **TASKS[task], **size
    )
    events = stack.events(job)
    images = pictures(events)
    assert [image.size for image in images] == [(72, 64)] * 2
    assert {image.get_format_mimetype() for image in images} == {output_format.media_type}
    assert events[-1].images == 2
    assert set(events[-1].timings) == {"queue_s", "encode_s", "denoise_s", "decode_s", "image_s"}
    assert [event.seed for event in events if isinstance(event, ImageEvent)] == [7, 8]


def plain_pipeline(folder, task):
    """The pipeline of `task` as anybody would load it."""
    import diffusers

    name = {
        "text-to-image": "StableDiffusionPipeline",
        "image-to-image": "StableDiffusionImg2ImgPipeline",
        "inpaint": "StableDiffusionInpaintPipeline",
    }[task]
    return getattr(diffusers, name).from_pretrained(folder, safety_checker=None)


@pytest.mark.parametrize("scheduler", [None, "EulerAncestralDiscreteScheduler", "PNDMScheduler"])
@pytest.mark.parametrize("task", TASKS)
def test_images_equal_those_of_the_plain_pipeline(stack, task, scheduler):
    """Our fibers, copies and callbacks change no pixel."""
    import diffusers
    import torch

    torch.set_num_threads(1)  # as in the replica, with which this process shares the cores
    pipe = plain_pipeline(stack.folder / "tiny", task)
    if scheduler is not None:
        pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
    given = {}
    if task != "text-to-image":
        given |= {"image": GRADIENT, "strength": TASKS[task]["strength"]}
    if task == "inpaint":
        given |= {"mask_image": half_mask(), "width": 64, "height": 64}
    expected = pipe(
        "a red circle",
        negative_prompt="a blue square",
        num_inference_steps=6,
        guidance_scale=4.0,
        num_images_per_prompt=2,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in (7, 8)],
        **given,
    ).images
    job = make_job(
        task=task,
        negative_prompt="a blue square",
        num_inference_steps=6,
        guidance_scale=4.0,
        num_images_per_prompt=2,
        scheduler=scheduler,
        **TASKS[task],
    )
    for ours, theirs in zip(pixels(stack.events(job)), expected, strict=True):
        # 1: the two processes may sum up floats in another order.
        assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= 1


def test_a_job_goes_to_the_model_that_it_names(stack):
    """Another family in the same replica: an SDXL, with its two text encoders."""
    import diffusers
    import torch

    torch.set_num_threads(1)
    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(stack.folder / "xl")
    expected = pipe(
        "a red circle",
        width=64,
        height=64,
        num_inference_steps=3,
        guidance_scale=5.0,
        generator=[torch.Generator("cpu").manual_seed(7)],
    ).images[0]
    (ours,) = pixels(stack.events(make_job(model="xl")))
    assert np.abs(ours.astype(int) - np.asarray(expected)).max() <= 1


def test_a_seed_is_a_picture(stack):
    """The same seed twice gives identical pixels, another seed different ones."""
    (first,), (second,), (other,) = (
        pixels(stack.events(make_job(seed=seed))) for seed in (11, 11, 12)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_an_image_has_the_same_pixels_alone_and_in_a_batch(stack):
    """Image k of a job has the seed + k, whatever is painted beside it."""
    batch = pixels(stack.events(make_job(seed=20, num_images_per_prompt=3)))
    (alone,) = pixels(stack.events(make_job(seed=22)))
    assert np.abs(batch[2].astype(int) - alone).max() <= 1


def test_many_jobs_at_once_each_get_their_own_picture(stack):
    """Four share each step, eight wait: no picture or scheduler state is mixed up."""
    seeds = range(100, 112)

    async def all_at_once():
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            bodies = [make_job(seed=seed).encode() for seed in seeds]
            url = f"{stack.url}/demo/generate"
            return await asyncio.gather(*(client.post(url, content=body) for body in bodies))

    answers = asyncio.run(all_at_once())
    together = [
        pixels([EVENT.validate_json(line) for line in answer.text.splitlines()])[0]
        for answer in answers
    ]
    for seed, picture in zip(seeds, together, strict=True):
        (alone,) = pixels(stack.events(make_job(seed=seed)))
        # 1: in company floats are summed up in another order.
        assert np.abs(picture.astype(int) - alone).max() <= 1


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
