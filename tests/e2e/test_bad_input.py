"""Bad input over HTTP: a clear error each, and nothing is published."""

import base64
import io

import httpx
import pytest
from PIL import Image

from client.client import Client
from darkroom.stack import Stack
from jobs.inputs import Task
from jobs.samples import sample_request
from jobs.status import ErrorCode, Status

GOOD = sample_request()


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ("{", 400, "malformed_json", None),
        ("[]", 422, "invalid_input", ""),
        ({}, 422, "invalid_input", "/input"),
        (sample_request(prompt=""), 422, "invalid_input", "/input/prompt"),
        (sample_request(width=10_000, height=10_000), 422, "invalid_input", "/input/width"),
        (sample_request(wdith=64), 422, "invalid_input", "/input/wdith"),
        ({"input": {"task": "paint", "prompt": "x"}}, 422, "invalid_input", "/input"),
        (sample_request(scheduler="MagicScheduler"), 422, "invalid_input", "/input/scheduler"),
        ({**GOOD, "model": "nosuch"}, 422, "unknown_model", "/model"),
        ({**GOOD, "runtime": "nosuch"}, 422, "unknown_runtime", "/runtime"),
        ({**GOOD, "prio": "high"}, 422, "invalid_input", "/prio"),
        ({**GOOD, "id": "../../etc"}, 422, "invalid_input", "/id"),
        ({**GOOD, "callback": "http://example.com"}, 422, "invalid_input", "/callback"),
    ],
)
def test_a_bad_body_is_refused_with_the_place_of_its_fault(
    stack: Stack, client: Client, body: object, status: int, code: str, pointer: str | None
):
    """RFC 9457, with a code and a JSON pointer."""
    before = {view.uid for view in client.jobs(limit=100).data}
    content = {"content": body} if isinstance(body, str) else {"json": body}
    answer = httpx.post(
        f"{stack.api_url}/v1/jobs",
        headers={"x-api-key": stack.api_key, "content-type": "application/json"},
        **content,  # type: ignore[arg-type]
    )
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == code
    if pointer is not None:
        assert pointer in [fault["pointer"] for fault in problem["errors"]]
    assert {view.uid for view in client.jobs(limit=100).data} == before


def test_without_a_key_nobody_enters(stack: Stack):
    """403, as API Gateway answers it; a wrong key too."""
    for headers in ({}, {"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}):
        answer = httpx.post(f"{stack.api_url}/v1/jobs", headers=headers, json=GOOD)
        assert answer.status_code == 403
        assert answer.json()["code"] == "forbidden"


def test_a_bearer_token_is_a_key_too(stack: Stack):
    """For clients that know nothing else."""
    headers = {"authorization": f"Bearer {stack.api_key}"}
    assert httpx.get(f"{stack.api_url}/v1/models", headers=headers).status_code == 200


def _png(size: tuple[int, int]) -> str:
    data = io.BytesIO()
    Image.new("L", size).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


@pytest.mark.parametrize(
    "image",
    ["bm90IGEgcGljdHVyZQ==", "%%%", _png((10_000, 10_000))],
    ids=["no picture", "no base64", "100 megapixels"],
)
def test_a_bad_picture_fails_its_job_with_a_clear_error(client: Client, image: str):
    """Only whoever decodes it can tell; the job says so, after one attempt."""
    request = sample_request(Task.IMAGE_TO_IMAGE, image=image)
    view = client.wait(client.submit(request).uid, timeout_s=120)
    assert view.status is Status.FAILED
    assert view.error is not None
    assert view.error.code is ErrorCode.INVALID_INPUT
    assert "image" in view.error.message
    assert view.attempts <= 1
