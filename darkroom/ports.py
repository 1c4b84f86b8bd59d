"""The ports of one local stack, all on loopback."""

import socket
from dataclasses import dataclass, fields, replace
from typing import Self

from darkroom.errors import PortTaken

HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """One port per listener that people or other processes address."""

    aws: int = 4566
    serve: int = 8000
    api: int = 8080
    dashboard: int = 8265
    ui: int = 7860

    @classmethod
    def free(cls) -> Self:
        """Ports that nobody listens on now, so that stacks can run side by side."""
        names = [each.name for each in fields(cls)]
        return cls(**dict(zip(names, _free_ports(len(names)), strict=True)))

    @classmethod
    def usual(cls) -> Self:
        """The usual ports where they are free, any free ones otherwise."""
        usual, spare = cls(), cls.free()
        taken = [each.name for each in fields(cls) if not is_free(getattr(usual, each.name))]
        return replace(usual, **{name: getattr(spare, name) for name in taken})

    def having(self, **wanted: int | None) -> Self:
        """These with some replaced; `PortTaken` if one of `wanted` is not free."""
        chosen = {name: port for name, port in wanted.items() if port is not None}
        for name, port in chosen.items():
            if not is_free(port):
                raise PortTaken(f"port {port} ({name}) is taken; free it or choose another")
        return replace(self, **chosen)


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of loopback."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections still linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_ports(count: int) -> list[int]:
    """Free ports, all held until all are found, so that they differ."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
