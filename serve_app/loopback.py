"""Keeps Ray Serve's replicas off the network when everything runs on one machine."""

from typing import Any


def bind_replicas() -> None:
    """Have replicas listen on loopback; a `worker_process_setup_hook`.

    A replica's gRPC server listens on `[::]:0` whatever Ray's settings say (ray 2.60,
    serve/_private/replica.py). The function that opens the port is replaced before that
    module binds its name; in a cluster, where others must reach it, nothing is replaced.
    """
    from ray._common import tls_utils  # noqa: PLC0415  # only workers need it

    listen = tls_utils.add_port_to_grpc_server

    def on_loopback(server: Any, address: str) -> Any:
        return listen(server, address.replace("[::]", "127.0.0.1"))

    tls_utils.add_port_to_grpc_server = on_loopback
