"""A topic: the interface to publish jobs and notices."""

from collections.abc import Mapping
from typing import Protocol

#: With raw delivery SNS drops a message that has more attributes than this, without a word.
MAX_ATTRIBUTES = 10


class Topic(Protocol):
    """An SNS topic, as far as we use one."""

    def publish(self, body: str, attributes: Mapping[str, str]) -> None:
        """Publish a message; `attributes` are what filter policies see."""
