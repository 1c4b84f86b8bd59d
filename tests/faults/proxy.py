"""A TCP proxy that does to connections what networks do: delay, reset, swallow an answer."""

import asyncio
import struct
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET


@dataclass
class FaultProxy:
    """Passes bytes on to a port of this machine; its faults can be changed while it runs."""

    port: int
    #: Seconds that each piece of an answer waits.
    delay_s: float = 0.0
    #: Connections that are reset as soon as they have sent something.
    resets: int = 0
    #: Answers that never arrive: the request was passed on and done.
    swallows: int = 0
    #: What happened, in its order.
    done: list[str] = field(default_factory=list)

    async def __aenter__(self) -> "FaultProxy":
        self._open: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await asyncio.sleep(0.01)  # an aborted transport closes its socket in the next turn

    @property
    def own_port(self) -> int:
        """Where it listens."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._pass_on(reader, writer)
        finally:
            self._open.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to = await asyncio.open_connection("127.0.0.1", self.port)
        forth = asyncio.create_task(self._requests(reader, to, writer))
        back = asyncio.create_task(self._answers(there, writer))
        try:
            await asyncio.wait({forth, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (forth, back):
                task.cancel()
            to.transport.abort()
            writer.close()

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        to: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(65536):
            if self.resets:
                self.resets -= 1
                self.done.append("reset")
                _reset(writer)
                return
            to.write(data)
            await to.drain()

    async def _answers(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(65536):
            if self.swallows:
                self.swallows -= 1
                self.done.append("swallowed")
                _reset(writer)
                return
            await asyncio.sleep(self.delay_s)
            writer.write(data)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection by a RST, as a crashed peer or a full table in a router does."""
    socket = writer.get_extra_info("socket")
    socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
