"""Who may enter, what is open to all, and what reaches no log."""

import io
import json
import logging
from dataclasses import replace

import jsonschema
import pytest
import structlog
from structlog.testing import capture_logs

from api.settings import ApiSettings
from jobs.environment import BadSetting
from jobs.logs import configure_logs
from jobs.samples import sample_request
from jobs.uid import new_uid
from records.keys import KeyRing, key_digest
from records.memory import MemoryTable

ADA, BOB = "key-of-ada", "key-of-bob"


@pytest.fixture
def locked(backend, serve):
    """A function that gives an HTTP client of an API with two tenants."""
    keys = KeyRing({key_digest(ADA): "ada", key_digest(BOB): "bob"})

    def client(**headers):
        return serve(replace(backend, keys=keys), **headers)

    return client


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": ADA},
        {"authorization": f"Bearer {ADA}"},
        {"authorization": f"bearer {ADA}"},
        {"x-api-key": ADA, "authorization": "Basic eA=="},
    ],
)
def test_a_known_key_lets_its_tenant_in(locked, headers):
    """As x-api-key, which API Gateway knows, or as Bearer, which OpenAI's clients send."""
    answer = locked(**headers).post("/v1/jobs", json=sample_request())
    assert answer.status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": "wrong"},
        {"x-api-key": key_digest(ADA)},
        {"authorization": ADA},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {ADA}"},
        {"x-api-key": "wrong", "authorization": f"Bearer {ADA}"},
        {"x-api-key": "schlüssel".encode()},
    ],
)
def test_without_a_known_key_every_route_is_forbidden(locked, headers):
    """403, as API Gateway answers; what is kept of a key is no key."""
    api = locked(**headers)
    answers = [
        api.post("/v1/jobs", json=sample_request()),
        api.get("/v1/jobs"),
        api.get(f"/v1/jobs/{new_uid()}"),
        api.post(f"/v1/jobs/{new_uid()}/cancel"),
        api.delete(f"/v1/jobs/{new_uid()}"),
        api.get("/v1/models"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert answer.headers["content-type"] == "application/problem+json"


def test_another_tenants_job_is_not_there(locked, backend):
    """404 for all that could be done with it, as for one that never was."""
    ada, bob = locked(**{"x-api-key": ADA}), locked(**{"x-api-key": BOB})
    uid = ada.post("/v1/jobs", json=sample_request() | {"id": "order-7"}).json()["uid"]
    for name in (uid, "order-7"):
        for answer in (
            bob.get(f"/v1/jobs/{name}"),
            bob.post(f"/v1/jobs/{name}/cancel"),
            bob.delete(f"/v1/jobs/{name}"),
        ):
            assert answer.status_code == 404
    assert bob.get("/v1/jobs").json()["data"] == []
    assert ada.get("/v1/jobs/order-7").json()["status"] == "queued"
    assert backend.table.get(f"job#{uid}")["tenant"] == "ada"


def test_two_tenants_may_use_the_same_id(locked):
    """For two jobs that have nothing to do with each other."""
    body = sample_request() | {"id": "order-7"}
    uids = {
        locked(**{"x-api-key": key}).post("/v1/jobs", json=body).json()["uid"] for key in (ADA, BOB)
    }
    assert len(uids) == 2


def test_a_cursor_of_another_tenant_is_refused(locked):
    """It is no way into somebody else's list."""
    ada, bob = locked(**{"x-api-key": ADA}), locked(**{"x-api-key": BOB})
    for _ in range(2):
        ada.post("/v1/jobs", json=sample_request())
    cursor = ada.get("/v1/jobs", params={"limit": 1}).json()["next_cursor"]
    answer = bob.get("/v1/jobs", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", "/docs"])
def test_health_and_documentation_need_no_key(locked, path):
    """They tell nothing of anybody's jobs."""
    assert locked().get(path).status_code == 200


def test_health_asks_nobody_else(backend, serve):
    """It answers while everything behind it is away."""
    api = serve(replace(backend, table=None, store=None, jobs=None, notices=None))
    assert api.get("/healthz").json() == {"status": "ok"}


def test_the_openapi_document_has_the_schema_of_a_job(api):
    """What a client posts, for each task, with every field that it may have."""
    document = api.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["$ref"].endswith("/JobRequest")
    assert {"TextToImage", "ImageToImage", "Inpaint", "JobView", "Problem"} <= schemas.keys()
    diffusers = {"prompt", "negative_prompt", "width", "height", "num_inference_steps"}
    diffusers |= {"guidance_scale", "seed", "num_images_per_prompt", "scheduler", "output_format"}
    assert diffusers <= schemas["TextToImage"]["properties"].keys()
    assert {"strength", "image", "mask_image"} <= schemas["Inpaint"]["properties"].keys()
    for path, methods in document["paths"].items():
        if path.startswith("/v1/"):
            for operation in methods.values():
                assert "application/problem+json" in operation["responses"]["404"]["content"]
                assert operation["security"]


def test_the_models_are_listed_with_the_schema_of_each_task(api):
    """The default is marked; a form can be made from the parameters."""
    page = api.get("/v1/models").json()
    found = {(model["runtime"], model["id"]): model for model in page["data"]}
    assert set(found) == {
        ("demo", "tiny"),
        ("demo", "large"),
        ("other", "second"),
        ("other", "third"),
    }
    assert [model["id"] for model in page["data"] if model["default"]] == ["tiny", "second"]
    tiny = found["demo", "tiny"]
    assert set(tiny["parameters"]) == set(tiny["tasks"])
    jsonschema.validate(sample_request()["input"], tiny["parameters"]["text-to-image"])


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("PUT", "/v1/jobs", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
    ],
)
def test_what_has_no_route_is_a_problem_too(api, method, path, status, code):
    """Every refusal has the same form."""
    answer = api.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


SECRET = "a-lighthouse-that-nobody-may-read-about"


class BrokenTable(MemoryTable):
    """A table with a bug that quotes what it was given."""

    def put_new(self, *items):
        raise RuntimeError(f"cannot store {items}")


def everything(api):
    """Requests of every kind, all of which hold the secret somewhere."""
    body = sample_request(prompt=SECRET) | {"metadata": {"a": SECRET}}
    uid = api.post("/v1/jobs", json=body).json().get("uid", "none")
    api.post("/v1/jobs", json=sample_request(prompt=SECRET, width=7))
    api.post("/v1/jobs", content=f'{{"input": "{SECRET}')
    api.post("/v1/jobs", json=body | {SECRET: SECRET})
    api.get(f"/v1/jobs/{SECRET}")
    api.post(f"/v1/jobs/{uid}/cancel")
    api.delete(f"/v1/jobs/{uid}")
    return uid


def test_no_prompt_or_key_reaches_a_log(locked):
    """A line has ids only; the accepted job is there to be seen."""
    with capture_logs() as lines:
        uid = everything(locked(**{"x-api-key": ADA}))
    assert [line["event"] for line in lines] == ["accepted", "published", "canceled"]
    assert all((line["uid"], line["tenant"]) == (uid, "ada") for line in lines)
    assert all({"attempt", "trace", "runtime"} <= line.keys() for line in lines)
    assert SECRET not in str(lines)
    assert ADA not in str(lines)


def test_a_bug_is_a_500_that_quotes_nothing(backend, serve, caplog):
    """Neither to the client nor to any logger: an exception's text may hold a prompt."""
    with capture_logs() as lines, caplog.at_level(logging.DEBUG):
        answer = serve(replace(backend, table=BrokenTable())).post(
            "/v1/jobs", json=sample_request(prompt=SECRET)
        )
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.headers["content-type"] == "application/problem+json"
    [line] = lines
    assert (line["event"], line["kind"]) == ("unforeseen", "RuntimeError")
    assert "test_api_access.py" in line["where"]
    assert SECRET not in answer.text + caplog.text + str(lines)


def test_a_bug_is_raised_to_no_server(backend, serve):
    """uvicorn and Lambda would log the whole exception, prompt and all."""
    api = serve(replace(backend, table=BrokenTable()), raises=True)
    assert api.post("/v1/jobs", json=sample_request(prompt=SECRET)).status_code == 500


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"abc": "ada"}',
        f'{{"{key_digest(ADA)}": ""}}',
        f'{{"{key_digest(ADA)}": "A B"}}',
        f'{{"{key_digest(ADA)}": "a#b"}}',
        f'{{"{key_digest(ADA)}": 5}}',
        f'{{"{ADA}": "ada"}}',
    ],
)
def test_keys_that_cannot_be_used_stop_the_api_at_start(text):
    """The variable is named, its content is not."""
    with pytest.raises(BadSetting, match="DARKROOM_API_KEYS") as refused:
        KeyRing.from_json(text)
    assert ADA not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["DARKROOM_JOB_TABLE", "DARKROOM_BUCKET", "DARKROOM_JOBS_TOPIC_ARN"]
)
def test_a_setting_that_is_missing_is_named(name):
    """All are read at start."""
    environ = {
        "DARKROOM_JOB_TABLE": "t",
        "DARKROOM_BUCKET": "b",
        "DARKROOM_JOBS_TOPIC_ARN": "j",
        "DARKROOM_NOTICES_TOPIC_ARN": "n",
        "DARKROOM_API_KEYS": json.dumps({key_digest(ADA): "ada"}),
    }
    assert ApiSettings.from_env(environ).keys.tenants == {key_digest(ADA): "ada"}
    del environ[name]
    with pytest.raises(BadSetting, match=f"{name} is not set"):
        ApiSettings.from_env(environ)


def test_log_lines_are_json_in_the_cluster(capsys):
    """One object per line on stderr, with the process's name."""
    before = structlog.get_config()
    try:
        configure_logs({"DARKROOM_LOG": "json"}, process="api")
        structlog.get_logger().info("accepted", uid="u")
    finally:
        structlog.configure(**before)
        structlog.contextvars.clear_contextvars()
    line = json.load(io.StringIO(capsys.readouterr().err))
    assert (line["event"], line["uid"], line["process"]) == ("accepted", "u", "api")
