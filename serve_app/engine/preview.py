"""A picture of a call that is still being made."""

from concurrent.futures import Future
from typing import Any

from serve_app.engine.aside import Aside
from serve_app.engine.call import Call


def aside(call: Call) -> Aside | None:
    raise NotImplementedError


def deliver(picture: Future[Any], done: Future[Any]) -> None:
    raise NotImplementedError
