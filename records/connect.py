"""boto3 clients for the entry points; everything else is given them.

Endpoint, region and credentials come from AWS's own variables, here as on AWS.
"""

import os
from typing import Any

import boto3.session
import botocore.session
from botocore.config import Config

from records.errors import translated

#: Standard mode: four tries with jitter, throttling included. More connections than threads:
#: 40 in the API, 33 in a bridge.
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 4},
    connect_timeout=2,
    # Short: a lease and a Lambda's 29 s have to outlast all tries.
    read_timeout=5,
    max_pool_connections=64,
    tcp_keepalive=True,
)
_S3 = Config(
    # Presigned URLs that expire, and that name the bucket's own region: a signature does not
    # survive S3's redirect from the global address.
    signature_version="s3v4",
    s3={"addressing_style": "virtual"},
)
_NO_FILES: dict[str, Any] = {
    "profile": (None, None, None, None),
    **dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None)),
}
#: Longer than SQS's longest poll, 20 s.
_LONG_POLL = Config(read_timeout=25)


def connect(service: str, *, long_poll: bool = False, isolated: bool = False, **where: str) -> Any:
    """A client of one AWS service; safe to share between threads.

    `long_poll` is for who receives messages. `where` are boto3's own arguments for who speaks
    to another place than the process's variables name; `isolated` then keeps a person's
    profiles and files out of it. `Unavailable` if AWS's settings name a profile that is not there,
    half a set of credentials, or no region.
    """
    config = _CONFIG
    if service == "s3":
        config = config.merge(_S3)
    if long_poll:
        config = config.merge(_LONG_POLL)
    with translated("AWS's settings on this machine"):
        core = botocore.session.Session(_NO_FILES if isolated else None)
        session = boto3.session.Session(botocore_session=core)
        return session.client(service, config=config, **where)  # type: ignore[call-overload]
