"""Python client of Darkroom's HTTP API."""

from client.client import Client
from client.errors import ClientError, Refused, TimedOut, Unreachable

__all__ = ["Client", "ClientError", "Refused", "TimedOut", "Unreachable"]
