"""ministack, and the three things that it lacks and we use: `python emulator.py`.

- PutRestApi, although ministack can read an OpenAPI body: CloudFormation's stacks bring some.
- With `api_key_source = AUTHORIZER` API Gateway counts a request under the key that the authorizer
  names in `usageIdentifierKey`; ministack only ever looks at the header.
- In China a caller's ARN is of China's partition: Terraform's provider goes by it.

With EMULATOR_CALLS, a file, it notes each kind of call that it is asked: whose right to make it
the deployer's policy has to give.
"""

import json
import os
import re
import runpy
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import parse_qs

from ministack import app as ministack_app
from ministack.core.responses import get_region
from ministack.services import apigateway_v1, sts

_ANY = "x-amazon-apigateway-any-method"
_usage_key: ContextVar[str | None] = ContextVar("usage_key", default=None)
_invoke = apigateway_v1._invoke_authorizer_lambda
_handle = apigateway_v1.handle_request
_handle_sts = sts.handle_request


async def _invoke_authorizer(*arguments):
    """The authorizer's answer, with its usage key kept for the check that comes next."""
    result = await _invoke(*arguments)
    answer = (result or {}).get("body")
    answer = json.loads(answer) if isinstance(answer, str | bytes) else answer
    _usage_key.set((answer or {}).get("usageIdentifierKey"))
    return result


async def _handle_request(method, path, headers, body, query_params):
    """Any request, with `PUT /restapis/{id}` among them."""
    parts = path.strip("/").split("/")
    if method == "PUT" and parts[0] == "restapis" and len(parts) == 2:
        return _put_rest_api(parts[1], json.loads(body))
    return await _handle(method, path, headers, body, query_params)


def _put_rest_api(api_id, document):
    """The API with the document's methods, whatever it had before."""
    resources = apigateway_v1._resources[api_id]
    for name in [name for name, resource in resources.items() if resource["path"] != "/"]:
        del resources[name]
    apigateway_v1._authorizers_v1[api_id] = {}
    schemes = apigateway_v1._import_security_schemes(api_id, document)
    for path, methods in document["paths"].items():
        known = {("any" if name == _ANY else name): methods[name] for name in methods}
        apigateway_v1._import_path_item(api_id, path, known, schemes)
    api = apigateway_v1._rest_apis[api_id]
    api["binaryMediaTypes"] = document["x-amazon-apigateway-binary-media-types"]
    return apigateway_v1._get_rest_api(api_id)


async def _handle_sts_request(*arguments):
    """Who the caller is, in the partition of the region that was asked."""
    status, headers, body = await _handle_sts(*arguments)
    if get_region().startswith("cn-"):
        text = body.decode() if isinstance(body, bytes) else body
        body = text.replace("arn:aws:", "arn:aws-cn:").encode()
    return status, headers, body


_app = ministack_app.app
_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([a-z0-9-]+)/aws4_request")
_noted = set()


async def _noting_app(scope, receive, send):
    """The emulator, which notes who signed for which service, and what was asked."""
    if scope["type"] != "http":
        await _app(scope, receive, send)
        return
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
    signed = _SCOPE.search(headers.get("authorization", ""))
    bodies = []

    async def heard():
        message = await receive()
        bodies.append(message.get("body", b""))
        return message

    await _app(scope, heard, send)
    if signed:
        _note(signed[1], scope, headers, b"".join(bodies))


def _note(service, scope, headers, body):
    agent = headers.get("user-agent", "").lower()
    form = "x-www-form-urlencoded" in headers.get("content-type", "")
    action = parse_qs(body.decode("latin-1")).get("Action", [""])[0] if form else ""
    call = {
        "service": service,
        "action": action or headers.get("x-amz-target", "").rpartition(".")[2],
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        # Whose call it is: what tests ask on their own is nobody's.
        "by": next((who for who in ("terraform", "deployer") if who in agent), ""),
    }
    if call["action"]:
        call |= {"path": "", "query": ""}
    line = json.dumps(call)
    if line not in _noted:
        _noted.add(line)
        with Path(os.environ["EMULATOR_CALLS"]).open("a") as file:
            file.write(line + "\n")


if os.environ.get("EMULATOR_CALLS"):
    ministack_app.app = _noting_app

apigateway_v1._OPENAPI_HTTP_METHODS.add("any")
apigateway_v1._invoke_authorizer_lambda = _invoke_authorizer
apigateway_v1._api_key_from_request = lambda headers: _usage_key.get()

apigateway_v1.handle_request = _handle_request
sts.handle_request = _handle_sts_request

if __name__ == "__main__":
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)
