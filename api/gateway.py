"""The body of the REST API in API Gateway, made from the app: `python -m api.gateway`.

API Gateway reads OpenAPI 3.0 and refuses much of the 3.1 that FastAPI writes, so the body has the
routes only; schemas are the app's business. Terraform fills in what stands in `${}`.
"""

import json
import re
import sys
from typing import Any, cast

from api.access import PUBLIC_PATHS
from api.app import create_app
from api.backend import Backend

_AUTHORIZER = "key"
#: Every other path: those of other systems' clients, and problems for all that has no route.
_ELSEWHERE = "/{proxy+}"
_BINARY = ["image/*", "application/octet-stream", "multipart/form-data"]
_ANY = "x-amazon-apigateway-any-method"


def gateway_document() -> dict[str, Any]:
    """The document, with Terraform's variables in it."""
    # No route is called: nothing of the backend is used.
    routes = create_app(cast(Backend, None)).openapi()["paths"]
    paths = {
        path: {method: _operation(path) for method in sorted(methods)}
        for path, methods in sorted(routes.items())
    }
    for path in PUBLIC_PATHS:
        paths.setdefault(path, {"get": _operation(path)})
    paths[_ELSEWHERE] = {_ANY: _operation(_ELSEWHERE)}
    return {
        "openapi": "3.0.1",
        "info": {"title": "${title}", "version": "1"},
        # What comes and goes as it is; all else is text to API Gateway.
        "x-amazon-apigateway-binary-media-types": _BINARY,
        "paths": paths,
        "components": {"securitySchemes": {_AUTHORIZER: _AUTHORIZER_SCHEME, "usage": _USAGE}},
    }


def _operation(path: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "responses": {"default": {"description": "as the API says"}},
        "x-amazon-apigateway-integration": {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "uri": "${api_invoke_arn}",
            "passthroughBehavior": "when_no_match",
        },
    }
    names = re.findall(r"\{(\w+)\+?\}", path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if path not in PUBLIC_PATHS:
        operation["security"] = [{_AUTHORIZER: [], "usage": []}]
    return operation


#: Without identity sources it is asked about every request: a key may come in either of two
#: headers, and API Gateway would refuse a request that lacks one of those it is told of.
_AUTHORIZER_SCHEME = {
    "type": "apiKey",
    "name": "Unused",
    "in": "header",
    "x-amazon-apigateway-authtype": "custom",
    "x-amazon-apigateway-authorizer": {
        "type": "request",
        "authorizerUri": "${authorizer_invoke_arn}",
        "authorizerCredentials": "${authorizer_credentials}",
        "authorizerResultTtlInSeconds": 0,
    },
}
#: Counts requests under the usage plan that the authorizer names.
_USAGE = {"type": "apiKey", "name": "x-api-key", "in": "header"}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(gateway_document(), indent=2) + "\n")
