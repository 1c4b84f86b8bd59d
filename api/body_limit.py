"""A limit on the size of a request's body, for every route."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem_response

#: Lambda takes 6 MB a call, of which the envelope needs some.
MAX_BODY_BYTES = 5_500_000


class BodyLimit:
    """ASGI middleware: 413 instead of a body that Lambda would not have let in."""

    def __init__(self, app: ASGIApp, *, most: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, then pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return  # the client has gone
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._most:
                detail = f"a request may have {self._most} bytes; give larger images by reference"
                await problem_response(413, "too_large", detail)(scope, receive, send)
                return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, again, send)
