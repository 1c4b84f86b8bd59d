"""Options and answers that all commands have in common."""

import json
import os
import sys
from typing import Annotated, Any

import typer

from client.client import Client
from darkroom.state import find_api

Json = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="the API; default: DARKROOM_API_URL, else the stack that is up"),
]
Key = Annotated[str | None, typer.Option("--key", help="API key; default: DARKROOM_API_KEY")]


def connected(url: str | None, key: str | None) -> Client:
    """A client of the API that the options, the environment or the running stack name."""
    address = find_api(url, key, os.environ)
    return Client(address.url, api_key=address.key)


def emit(document: Any, *, as_json: bool, otherwise: str) -> None:
    """The command's result on stdout: a document for programs, or a few words."""
    text = json.dumps(document, indent=2) if as_json else otherwise
    if text:
        sys.stdout.write(text + "\n")
