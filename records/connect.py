"""boto3 clients for the entry points; everything else is given them.

Endpoint, region and credentials come from AWS's own variables, here as on AWS.
"""

from typing import Any

import boto3
from botocore.config import Config

#: Standard mode: four tries with jitter, throttling included. A read waits longer than a
#: 20 s long poll. One connection for each thread that may call at once.
_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 4},
    connect_timeout=2,
    read_timeout=25,
    max_pool_connections=32,
    tcp_keepalive=True,
    signature_version="s3v4",  # presigned URLs that expire; other services use v4 anyway
)


def connect(service: str, **where: str) -> Any:
    """A client of one AWS service; safe to share between threads.

    `where` are boto3's own arguments (`endpoint_url`, `region_name`, ...) for whoever speaks
    to another place than the process's variables name.
    """
    config = _CONFIG if service == "s3" else _CONFIG.merge(Config(signature_version="v4"))
    return boto3.client(service, config=config, **where)  # type: ignore[call-overload]
