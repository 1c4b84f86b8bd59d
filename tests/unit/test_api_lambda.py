"""The same app under Mangum: a REST API's proxy event gets the same answers."""

import base64
import importlib
import json
import sys
from pathlib import Path

import pytest
import structlog

from jobs.samples import sample_request

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def handler(backend, monkeypatch):
    """The handler that Lambda imports, over the fakes."""
    environ = {
        "DARKROOM_JOB_TABLE": "t",
        "DARKROOM_BUCKET": "b",
        "DARKROOM_JOBS_TOPIC_ARN": "arn:aws:sns:us-east-1:000000000000:j",
        "DARKROOM_NOTICES_TOPIC_ARN": "arn:aws:sns:us-east-1:000000000000:n",
        "DARKROOM_RUNTIMES": str(ROOT / "runtimes.yaml"),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "api.lambda_handler", raising=False)
    logging = structlog.get_config()
    try:
        handler = importlib.import_module("api.lambda_handler").handler
        handler.app.state.backend = backend
        yield handler
    finally:
        structlog.configure(**logging)
        structlog.contextvars.clear_contextvars()


@pytest.fixture
def call(handler):
    """A function that sends a request as API Gateway's REST proxy event (payload v1)."""

    def called(
        method, path, *, body=None, encoded=False, headers=None, query=None, tenant="default"
    ):
        headers = {"content-type": "application/json", **(headers or {})}
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        if encoded:
            text = base64.b64encode(text.encode()).decode()
        event = {
            "resource": "/{proxy+}",
            "path": path,
            "httpMethod": method,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": query,
            "multiValueQueryStringParameters": {n: [v] for n, v in query.items()}
            if query
            else None,
            "pathParameters": {"proxy": path.lstrip("/")},
            "stageVariables": None,
            "requestContext": {
                "resourcePath": "/{proxy+}",
                "httpMethod": method,
                "path": f"/v1{path}",
                "stage": "v1",
                "protocol": "HTTP/1.1",
                "identity": {"sourceIp": "127.0.0.1", "userAgent": "test"},
                "requestId": "r",
                **({"authorizer": {"tenant": tenant}} if tenant else {}),
                "apiId": "a",
            },
            "body": text,
            "isBase64Encoded": encoded,
        }
        return handler(event, None)

    return called


@pytest.mark.parametrize("encoded", [False, True])
def test_a_job_is_accepted_and_read(call, queue, encoded):
    """202 with Location, then 200; the body may come in base64."""
    answer = call("POST", "/v1/jobs", body=sample_request() | {"id": "a"}, encoded=encoded)
    assert answer["statusCode"] == 202
    uid = json.loads(answer["body"])["uid"]
    # Below its stage, which is called as the first part of our own paths here.
    assert answer["headers"]["location"] == f"/v1/v1/jobs/{uid}"
    assert queue.depth() == (1, 0)
    read = call("GET", "/v1/jobs/a")
    assert read["statusCode"] == 200
    assert json.loads(read["body"]) == json.loads(answer["body"])


def test_each_request_is_answered_as_under_http(call, api):
    """Status, body and media type, whether it is taken or refused."""
    api.post("/v1/jobs", json=sample_request() | {"id": "a"})
    requests = [
        ("GET", "/healthz", None, None),
        ("GET", "/v1/models", None, None),
        ("GET", "/v1/jobs", None, {"limit": "1"}),
        ("GET", "/v1/jobs", None, {"limit": "0"}),
        ("GET", "/v1/jobs/nobody", None, None),
        ("POST", "/v1/jobs", sample_request(steps=1), None),
        ("POST", "/v1/jobs", sample_request() | {"id": "a", "priority": "batch"}, None),
        ("POST", "/v1/jobs", "{", None),
        ("DELETE", "/v1/jobs/a", None, None),
        ("POST", "/v1/jobs/a/cancel", None, None),
        ("DELETE", "/v1/jobs/a", None, None),
        ("GET", "/v1/jobs/a", None, None),
    ]
    statuses = []
    for method, path, body, query in requests:
        if (method, path) == ("DELETE", "/v1/jobs/a") or path.endswith("/cancel"):
            # These change the job: each is asked of one of the two only.
            statuses.append(call(method, path)["statusCode"])
            continue
        content = body if isinstance(body, str) or body is None else json.dumps(body)
        headers = {"content-type": "application/json"}
        by_http = api.request(method, path, content=content, params=query, headers=headers)
        by_lambda = call(method, path, body=body, query=query)
        statuses.append(by_http.status_code)
        assert by_lambda["statusCode"] == by_http.status_code
        assert by_lambda["isBase64Encoded"] is False
        assert by_lambda["headers"]["content-type"] == by_http.headers["content-type"]
        assert json.loads(by_lambda["body"]) == by_http.json()
    assert statuses == [200, 200, 200, 400, 404, 422, 409, 400, 409, 200, 204, 200]


def test_the_tenant_is_the_one_that_the_authorizer_found(call, backend):
    """No key is looked at again, and without an authorizer nobody is let in."""
    body = sample_request()
    uid = json.loads(call("POST", "/v1/jobs", body=body, tenant="ada")["body"])["uid"]
    assert backend.table.get(f"job#{uid}")["tenant"] == "ada"
    refused = call("POST", "/v1/jobs", body=body, headers={"x-api-key": "any"}, tenant=None)
    assert (refused["statusCode"], json.loads(refused["body"])["code"]) == (403, "forbidden")


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/", "//v1/jobs", "//v1//jobs//"])
def test_doubled_and_trailing_slashes_are_forgiven(call, path):
    """The guidance's own test script posts to such an address."""
    assert call("POST", path, body=sample_request())["statusCode"] == 202


def test_the_documentation_links_to_its_own_stage(call):
    """Below the execute-api address a link to the root would leave the API."""
    page = call("GET", "/docs", tenant=None)
    assert "'/v1/openapi.json'" in page["body"]
    assert call("GET", "/static-offline-docs/swagger-ui.css", tenant=None)["statusCode"] == 200
