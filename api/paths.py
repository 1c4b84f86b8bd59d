"""Paths as clients write them, made those of our routes."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send


class TidyPaths:
    """ASGI middleware: doubled and trailing slashes are forgiven, the stage is known.

    Scripts for the AWS guidance post to `.../dev//v1alpha2/`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its path tidied."""
        if scope["type"] == "http":
            path = re.sub("/{2,}", "/", scope["path"])
            root = _stage(scope) + scope.get("root_path", "")
            # ASGI's path begins with its root, which Mangum leaves out of both.
            scope = {**scope, "path": root + (path.rstrip("/") or "/"), "root_path": root}
        await self._app(scope, receive, send)


def _stage(scope: Scope) -> str:
    """`/<stage>` below API Gateway's own address, nothing elsewhere."""
    event = scope.get("aws.event")
    if event is None:
        return ""
    below, path = str(event["requestContext"].get("path", "")), str(event["path"])
    # Under a domain of one's own the two are equal.
    return below.removesuffix(path) if below.endswith(path) else ""
