"""The authorizer in Lambda."""

import os
import time
from typing import Any

from api.authorizer import authorize
from jobs.environment import required
from records.connect import connect
from records.dynamo import DynamoTable
from records.key_table import KeyTable
from records.secret import Secret

_KEYS = KeyTable(
    get=DynamoTable(connect("dynamodb"), required(os.environ, "DARKROOM_KEY_TABLE")).get,
    first_key=Secret(
        connect("secretsmanager"), required(os.environ, "DARKROOM_FIRST_KEY_SECRET")
    ).value,
    now_s=time.time,
)
_USAGE_PREFIX = required(os.environ, "DARKROOM_USAGE_PREFIX")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """The answer to one request."""
    return authorize(event, _KEYS, usage_prefix=_USAGE_PREFIX)
