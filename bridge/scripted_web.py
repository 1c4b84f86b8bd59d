"""An internet that follows a script, for tests: names, addresses, and what answers there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ssl import SSLContext

import httpcore


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An HTTP answer as it comes over the wire; `_` in a header's name stands for `-`."""
    lines = [f"HTTP/1.1 {status} as told", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class ScriptedWeb:
    """Hosts by name, and per address the answers that it gives, the last one for ever.

    `resolver` and `connector` are what an `Egress` is made of.
    """

    hosts: Mapping[str, Sequence[str]]
    answers: dict[str, list[bytes]] = field(default_factory=dict)
    #: Every connection that was made: (address, port).
    connected: list[tuple[str, int]] = field(default_factory=list)
    #: The name that each TLS handshake asked for.
    tls_names: list[str | None] = field(default_factory=list)
    #: What was sent over all of them.
    sent: bytearray = field(default_factory=bytearray)
    #: Names that were looked up.
    resolved: list[str] = field(default_factory=list)

    async def resolver(self, host: str, port: int) -> Sequence[str]:
        """The addresses of `host`; whoever is not in the script is not known."""
        self.resolved.append(host)
        if host not in self.hosts:
            raise OSError("name or service not known")
        return self.hosts[host]

    async def connector(
        self,
        address: str,
        port: int,
        timeout: float | None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to what answers at `address`; nobody, if it has no answers."""
        self.connected.append((address, port))
        answers = self.answers.get(address)
        if not answers:
            raise httpcore.ConnectError("connection refused")
        return _Stream(self, answers.pop(0) if len(answers) > 1 else answers[0])


class _Stream(httpcore.AsyncMockStream):
    def __init__(self, web: ScriptedWeb, data: bytes) -> None:
        # In pieces, as a network gives them.
        super().__init__([data[at : at + 65536] for at in range(0, len(data), 65536)])
        self._web = web

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._web.sent += buffer

    async def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self._web.tls_names.append(server_hostname)
        return self
