"""The emulated AWS: how its process is told, and how others speak with it and with nobody's own."""

import os
from pathlib import Path
from typing import Any

import httpx

from darkroom.ports import HOST
from records.connect import connect

#: The emulator's own: it checks signatures of presigned URLs against them.
REGION, CREDENTIAL = "us-east-1", "test"


def settings(port: int, home: Path) -> dict[str, str]:
    """Variables of the emulator's process: on loopback, all its files below `home`."""
    return {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "S3_DATA_DIR": str(home / "s3"),
        "STATE_DIR": str(home / "state"),
        "LOG_LEVEL": "WARNING",
        # A second listener, on every interface and always on the same port.
        "IOT_MTLS_ENABLED": "0",
    }


def without_aws() -> dict[str, str]:
    """Our environment without a person's own AWS, its profiles and endpoints included."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def addressed(url: str) -> dict[str, str]:
    """Variables of a process whose AWS is the emulator at `url`."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": CREDENTIAL,
        "AWS_SECRET_ACCESS_KEY": CREDENTIAL,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def client(url: str, service: str) -> Any:
    """A boto3 client of the emulator at `url`."""
    return connect(
        service,
        isolated=True,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=CREDENTIAL,
        aws_secret_access_key=CREDENTIAL,
    )


def answers(url: str) -> bool:
    """Whether somebody answers there, whatever it says."""
    try:
        httpx.get(url, timeout=2, trust_env=False)
    except httpx.HTTPError:
        return False
    return True
