"""One secret in Secrets Manager. The boto3 client is given, never made here."""

import time
from typing import Any

from records.errors import translated

#: Seconds that a value is kept: so long a replaced secret goes on working.
_KEPT_S = 300


class Secret:
    """The current value of a secret, asked for now and then."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn
        self._value = ""
        self._until = 0.0

    def value(self) -> str:
        """The value, at most some minutes old."""
        if time.monotonic() >= self._until:
            with translated("Secrets Manager GetSecretValue"):
                answer = self._client.get_secret_value(SecretId=self._arn)
            self._value = answer["SecretString"]
            self._until = time.monotonic() + _KEPT_S
        return self._value
