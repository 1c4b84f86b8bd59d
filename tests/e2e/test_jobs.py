"""Jobs from POST to picture, through every real hop."""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image

from client.client import Client
from client.errors import Refused
from darkroom.demo import await_notice
from darkroom.stack import Stack
from jobs.inputs import Task
from jobs.samples import sample_request
from jobs.status import Status
from jobs.view import JobView
from records.aws import SqsQueue

#: Seconds: generous, the tests share two cores with everything else.
PATIENCE_S = 120


def finished(client: Client, request: dict[str, object]) -> JobView:
    """The view of a job after it has ended."""
    return client.wait(client.submit(request).uid, timeout_s=PATIENCE_S)


def pictures(client: Client, view: JobView) -> list[Image.Image]:
    """The images of a job, each checked against the record."""
    images = []
    for output in view.outputs:
        data = client.download(output.url or "")
        assert hashlib.sha256(data).hexdigest() == output.sha256
        image = Image.open(io.BytesIO(data))
        assert image.size == (output.width, output.height)
        images.append(image.convert("RGB"))
    return images


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_each_task_gives_the_right_number_of_images_of_the_right_kind(
    client: Client, task: Task, output_format: str
):
    """Two images, 64 x 64, in the format that was asked for."""
    view = finished(
        client, sample_request(task, num_images_per_prompt=2, output_format=output_format)
    )
    assert view.status is Status.SUCCEEDED, view.error
    assert [image.size for image in pictures(client, view)] == [(64, 64)] * 2
    assert {output.media_type for output in view.outputs} == {f"image/{output_format}"}
    assert [output.seed for output in view.outputs] == [7, 8]


def test_width_and_height_are_those_asked_for(client: Client):
    """Not square, not the default."""
    view = finished(client, sample_request(width=128, height=72))
    assert [image.size for image in pictures(client, view)] == [(128, 72)]


def test_the_same_seed_gives_the_same_pixels_and_another_one_others(client: Client):
    """Reproducible, and not because everything looks the same."""
    first, again, other = (
        pictures(client, finished(client, sample_request(seed=seed)))[0].tobytes()
        for seed in (11, 11, 12)
    )
    assert first == again
    assert first != other


def test_a_job_without_a_seed_tells_which_one_it_had(client: Client):
    """So that a picture that came by chance can be made again."""
    chance = finished(client, sample_request(seed=None))
    again = finished(client, sample_request(seed=chance.outputs[0].seed))
    assert chance.outputs[0].sha256 == again.outputs[0].sha256


def test_the_notice_says_what_the_record_says(client: Client, stack: Stack):
    """The guidance's seven keys, and ours under `job`."""
    request = {**sample_request(), "metadata": {"order": "42"}}
    view = finished(client, request)
    queue = SqsQueue(stack.connect("sqs"), stack.cloud.notice_queues["demo"])
    notice = await_notice(queue, view.uid, timeout_s=PATIENCE_S)

    bucket = stack.cloud.bucket
    assert notice["id"] == view.id
    assert notice["runtime"] == view.runtime
    assert (notice["result"], notice["status"]) == (True, "completed")
    assert notice["image_url"] == [f"s3://{bucket}/{output.key}" for output in view.outputs]
    assert str(notice["output_url"]).startswith(f"s3://{bucket}/")
    assert notice["context"] == {}
    job = notice["job"]
    assert isinstance(job, dict)
    assert job["metadata"] == {"order": "42"}
    assert job["event_id"] == f"{view.uid}:succeeded"


def test_the_times_of_a_job_are_all_there_and_in_order(client: Client):
    """What the demo prints as its timeline."""
    uid = finished(client, sample_request()).uid
    while (view := client.job(uid)).times.notified is None:
        pass  # announcing is noted a moment after the terminal state
    times = view.times
    points = [
        times.accepted,
        times.published,
        times.leased,
        times.started,
        *times.stages.values(),
        times.uploaded,
        times.recorded,
        times.notified,
    ]
    assert None not in points
    assert set(times.stages) >= {"encode", "denoise", "decode"}
    assert points == sorted(points)  # type: ignore[type-var]


def test_the_same_job_posted_ten_times_at_once_is_one_job(client: Client):
    """A client that repeats itself pays once."""
    request = {**sample_request(), "id": "ten-times"}
    with ThreadPoolExecutor(10) as pool:
        views = list(pool.map(lambda _: client.submit(request), range(10)))
    (uid,) = {view.uid for view in views}
    view = client.wait(uid, timeout_s=PATIENCE_S)
    assert view.status is Status.SUCCEEDED
    assert view.attempts == 1
    assert client.job("ten-times").uid == uid


def test_an_id_that_stands_for_another_job_is_refused(client: Client):
    """409, and the first job is not touched."""
    client.submit({**sample_request(), "id": "taken"})
    with pytest.raises(Refused) as refused:
        client.submit({**sample_request(seed=8), "id": "taken"})
    assert refused.value.problem.status == 409
    assert refused.value.problem.code == "id_in_use"


def test_each_runtime_gets_only_its_own_jobs(client: Client, stack: Stack):
    """The filter policies route, and nothing is generated twice."""
    views = [
        client.wait(client.submit({**sample_request(), "runtime": name}).uid, timeout_s=PATIENCE_S)
        for name in ("first", "second", "first")
    ]
    assert [view.model for view in views] == ["tiny-first", "tiny-second", "tiny-first"]
    logs = {
        name: "".join(file.read_text() for file in stack.home.glob(f"bridge-{name}-*.log"))
        for name in ("first", "second")
    }
    for view in views:
        assert [name for name, text in logs.items() if view.uid in text] == [view.runtime]


def test_a_large_picture_travels_by_reference(client: Client):
    """Its job would not fit into a message."""
    noise = Image.effect_noise((512, 512), 200).convert("RGB")
    data = io.BytesIO()
    noise.save(data, "PNG")
    import base64

    text = base64.b64encode(data.getvalue()).decode()
    assert len(text) > 300_000
    request = sample_request(Task.IMAGE_TO_IMAGE, image=text, width=64, height=64)
    view = finished(client, request)
    assert view.status is Status.SUCCEEDED, view.error
    assert view.input is not None
    assert str(view.input["image"]).startswith("sha256:")


def test_a_deleted_job_leaves_a_tombstone_and_no_picture(client: Client):
    """What was asked is forgotten, that it was there is not."""
    view = finished(client, sample_request())
    url = view.outputs[0].url or ""
    assert httpx.get(url).status_code == 200
    client.delete(view.uid)
    assert httpx.get(url).status_code == 404
    tombstone = client.job(view.uid)
    assert tombstone.deleted
    assert tombstone.input is None
    assert tombstone.status is Status.SUCCEEDED


def test_jobs_are_listed_newest_first_page_by_page(client: Client):
    """Each page goes on where the last one ended."""
    posted = [client.submit(sample_request(seed=seed)).uid for seed in range(3)]
    first = client.jobs(limit=2)
    second = client.jobs(limit=2, cursor=first.next_cursor)
    listed = [view.uid for page in (first, second) for view in page.data]
    assert listed[:3] == posted[::-1]
