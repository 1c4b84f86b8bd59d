"""Who may enter: the tenant of a request, and the paths that need none."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from api.backend import Backend
from api.problems import Refusal

#: Open to all, here and behind API Gateway: health, and the documentation with its files.
PUBLIC_PATHS = ("/healthz", "/openapi.json", "/docs", "/static-offline-docs/{proxy+}")

_API_KEY = APIKeyHeader(name="x-api-key", auto_error=False)
_BEARER = HTTPBearer(auto_error=False)


def backend_of(request: Request) -> Backend:
    """What `create_app` was given."""
    backend: Backend = request.app.state.backend
    return backend


def tenant_of(
    request: Request,
    x_api_key: Annotated[str | None, Security(_API_KEY)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> str:
    """The tenant of the request's key. A missing key is 403, as API Gateway answers it."""
    if "aws.event" in request.scope:
        # In Lambda the authorizer has read the key already; nobody else can call the function.
        context = request.scope["aws.event"]["requestContext"].get("authorizer") or {}
        tenant = context.get("tenant")
    else:
        tenant = backend_of(request).keys.tenant(
            x_api_key=x_api_key, authorization=f"Bearer {bearer.credentials}" if bearer else None
        )
    if tenant is None:
        raise Refusal(403, "forbidden", "send your key as x-api-key or Authorization: Bearer")
    return str(tenant)


TheBackend = Annotated[Backend, Depends(backend_of)]
TheTenant = Annotated[str, Depends(tenant_of)]
