"""HTTP to addresses that a client names: pictures to fetch, webhooks to call.

Whoever may name a URL would like to read what only this process can reach. So a name is
resolved once, every address that it has must be public, and the connection goes to one of
the addresses that were judged. Each redirect is a new URL and is judged anew. There is no
way to switch this off: resolver and connector are arguments, the judgement is not.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

import httpcore
import httpx

from bridge.address import is_public
from bridge.errors import EgressFailed, EgressRefused

#: The addresses of a host, as text.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
#: A connection to (address, port) within so many seconds.
Connector = Callable[[str, int, float | None], Awaitable[httpcore.AsyncNetworkStream]]

#: Bytes of an answer. A 40 megapixel JPEG has about half of it.
MAX_BYTES = 20_000_000
_MAX_REDIRECTS = 3
#: Seconds for everything, redirects included; well within a job's lease and a webhook's turn.
_TOTAL_S = 20.0
#: Seconds to connect, and between two packets.
_STEP_S = 5.0
_PORTS = {"https": 443, "http": 80}
_MOVED = frozenset({301, 302, 303, 307, 308})
#: What the same request may be answered better a moment later.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_AGENT = "darkroom"


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of `host` by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def connect(address: str, port: int, timeout: float | None) -> httpcore.AsyncNetworkStream:
    """A TCP connection, past any proxy."""
    return await httpcore.AnyIOBackend().connect_tcp(address, port, timeout=timeout)


class Egress:
    """A client for URLs that are not ours. Every call has a connection of its own."""

    def __init__(
        self,
        *,
        http: bool = False,
        resolver: Resolver = resolve,
        connector: Connector = connect,
        total_s: float = _TOTAL_S,
    ) -> None:
        self._schemes = ("https", "http") if http else ("https",)
        self._network = _Guarded(resolver, connector)
        self._tls = httpcore.default_ssl_context()
        self._total_s = total_s

    async def fetch(self, url: str) -> bytes:
        """What lies at `url`; `EgressRefused` if it may not be had, `EgressFailed` if not now."""
        with _translated():
            async with asyncio.timeout(self._total_s):
                for _ in range(_MAX_REDIRECTS + 1):
                    target = self._target(url)
                    async with self._call("GET", target, {"accept": "image/*"}) as answer:
                        if answer.status not in _MOVED:
                            return await _body(answer)
                        url = _moved(target, answer)
        raise EgressRefused(f"it redirects more than {_MAX_REDIRECTS} times")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Post `body` and return the status. A redirect is not followed, the answer not read."""
        with _translated():
            async with asyncio.timeout(self._total_s):
                target = self._target(url)
                length = {"content-length": str(len(body))}
                async with self._call("POST", target, length | dict(headers), body) as answer:
                    return answer.status

    @asynccontextmanager
    async def _call(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[httpcore.Response]:
        """The answer to one request over a connection of its own, both gone with the block."""
        # Identity: an answer that unpacks to a thousand times its size is no answer.
        head = {"host": url.netloc.decode(), "user-agent": _AGENT, "accept-encoding": "identity"}
        request = httpcore.Request(
            method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=[*(head | dict(headers)).items()],
            content=body,
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), _STEP_S)},
        )
        async with httpcore.AsyncConnectionPool(
            ssl_context=self._tls, network_backend=self._network
        ) as pool:
            answer = await pool.handle_async_request(request)
            try:
                yield answer
            finally:
                await answer.aclose()

    def _target(self, text: str) -> httpx.URL:
        """The URL in `text`, if its form is one that may be called."""
        try:
            url = httpx.URL(text)
        except (httpx.InvalidURL, ValueError) as error:
            raise EgressRefused("it is not a URL") from error
        if url.scheme not in self._schemes:
            raise EgressRefused(f"it must begin with {' or '.join(self._schemes)}://")
        if not url.host or url.userinfo:
            raise EgressRefused("it must name a host, and no user")
        if url.port not in (None, _PORTS[url.scheme]):
            raise EgressRefused(f"its port must be {_PORTS[url.scheme]}")
        return url


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to public addresses only."""

    def __init__(self, resolver: Resolver, connector: Connector) -> None:
        self._resolver = resolver
        self._connector = connector

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: object = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to one of the addresses that `host` has at this moment."""
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError) as error:
            raise EgressFailed("its host name is not known") from error
        # All of them: with one inside, whoever owns the name picks which is taken.
        if not addresses or not all(map(is_public, addresses)):
            raise EgressRefused("its host is not on the public internet")
        for address in addresses[:-1]:
            try:
                return await self._connector(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._connector(addresses[-1], port, timeout)


async def _body(answer: httpcore.Response) -> bytes:
    if answer.status in _PASSING:
        raise EgressFailed(f"its server answered {answer.status}")
    if answer.status != 200:
        raise EgressRefused(f"its server answered {answer.status}")
    data = bytearray()
    async for part in answer.aiter_stream():
        data += part
        if len(data) > MAX_BYTES:
            raise EgressRefused(f"it has more than {MAX_BYTES // 1_000_000} MB")
    return bytes(data)


def _moved(url: httpx.URL, answer: httpcore.Response) -> str:
    for name, value in answer.headers:
        if name.lower() == b"location":
            try:
                return str(url.join(value.decode("ascii")))
            except (httpx.InvalidURL, ValueError) as error:
                raise EgressRefused("it redirects to what is no URL") from error
    raise EgressRefused("it redirects to nowhere")


@contextmanager
def _translated() -> Iterator[None]:
    """What httpcore and the clock raise, as ours: the only place where that is done."""
    try:
        yield
    except TimeoutError as error:
        raise EgressFailed("its server took too long") from error
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise EgressFailed(f"its server does not answer ({type(error).__name__})") from error
