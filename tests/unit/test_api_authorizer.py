"""The authorizer: which keys open the API, for whom, and how they are counted."""

import importlib
import json
import sys

import pytest

from api.authorizer import authorize
from api.gateway import gateway_document
from records.key_table import KeyTable
from records.keys import key_digest
from records.secret import Secret

ADA, OLD, FIRST = "key-of-ada", "key-that-has-expired", "key-that-terraform-made"
NOW_S = 1000
ITEMS = {
    key_digest(ADA): {"tenant": "ada", "tier": "gold"},
    key_digest(OLD): {"tenant": "ada", "expires_at": NOW_S},
}
ARN = "arn:aws:execute-api:us-east-1:000000000000:api/v/POST/v1/jobs"


@pytest.fixture
def decided():
    """A function that gives the authorizer's answer to a request with these headers."""
    keys = KeyTable(get=ITEMS.get, first_key=lambda: FIRST, now_s=lambda: NOW_S)

    def decide(headers):
        event = {"methodArn": ARN, "headers": headers}
        return authorize(event, keys, usage_prefix="usage-")

    return decide


@pytest.mark.parametrize(
    ("headers", "tenant", "usage"),
    [
        ({"x-api-key": ADA}, "ada", "usage-gold"),
        ({"X-API-Key": ADA}, "ada", "usage-gold"),
        ({"Authorization": f"Bearer {ADA}"}, "ada", "usage-gold"),
        ({"x-api-key": FIRST}, "default", "usage-standard"),
        ({"authorization": f"bearer {FIRST}"}, "default", "usage-standard"),
    ],
)
def test_a_known_key_is_allowed_as_its_tenant(decided, headers, tenant, usage):
    """The tenant goes on to the API, the tier's name to API Gateway."""
    answer = decided(headers)
    [statement] = answer["policyDocument"]["Statement"]
    assert (statement["Effect"], statement["Resource"]) == ("Allow", ARN)
    assert answer["context"] == {"tenant": tenant}
    assert answer["usageIdentifierKey"] == usage


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {},
        {"x-api-key": ""},
        {"x-api-key": "wrong"},
        {"x-api-key": key_digest(ADA)},
        {"x-api-key": OLD},
        {"authorization": f"Basic {ADA}"},
        {"authorization": "Bearer "},
    ],
)
def test_without_a_known_key_a_request_is_denied(decided, headers):
    """What is kept of a key, and a key that has expired, open nothing."""
    answer = decided(headers)
    assert answer["policyDocument"]["Statement"][0]["Effect"] == "Deny"
    assert answer["context"] == {}
    assert "usageIdentifierKey" not in answer


def test_a_secret_is_asked_for_once_in_a_while():
    """Each request would pay for a call otherwise."""
    asked = []

    class Client:
        def get_secret_value(self, **arguments):
            asked.append(arguments)
            return {"SecretString": "value"}

    secret = Secret(Client(), "arn")
    assert [secret.value(), secret.value()] == ["value", "value"]
    assert asked == [{"SecretId": "arn"}]


def test_the_handler_reads_its_settings_at_start(monkeypatch):
    """Lambda imports it by this name; no call to AWS is made for that."""
    environ = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "DARKROOM_KEY_TABLE": "t",
        "DARKROOM_FIRST_KEY_SECRET": "s",
        "DARKROOM_USAGE_PREFIX": "usage-",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "api.authorizer_handler", raising=False)
    handler = importlib.import_module("api.authorizer_handler").handler
    answer = handler({"methodArn": ARN, "headers": {}}, None)
    assert answer["policyDocument"]["Statement"][0]["Effect"] == "Deny"


def test_every_route_of_the_gateway_asks_for_a_key_but_the_public_ones():
    """Health and the documentation are open; all else goes through the authorizer."""
    paths = gateway_document()["paths"]
    open_paths = {
        path
        for path, methods in paths.items()
        for operation in methods.values()
        if operation.get("security") != [{"key": [], "usage": []}]
    }
    assert open_paths == {"/healthz", "/openapi.json", "/docs", "/static-offline-docs/{proxy+}"}
    assert "/{proxy+}" in paths
    assert json.dumps(paths).count("${api_invoke_arn}") == sum(map(len, paths.values()))
