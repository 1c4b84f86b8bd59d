"""API keys of an installation on AWS: a table of their hashes, and a first key in a secret."""

from collections.abc import Callable
from dataclasses import dataclass

from records.keys import DEFAULT_TENANT, key_digest, same_key
from records.table import Item

#: The usage plan of a key that names none.
DEFAULT_TIER = "standard"


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Whose key it is, and by which usage plan its requests are counted."""

    tenant: str
    tier: str = DEFAULT_TIER


@dataclass(frozen=True, kw_only=True)
class KeyTable:
    """An item per key: `pk` is its hash, beside it `tenant`, `tier` and `expires_at` (s)."""

    get: Callable[[str], Item | None]
    #: The value of the first key's secret. It has no item: Terraform, which makes it, must not
    #: learn its hash.
    first_key: Callable[[], str]
    now_s: Callable[[], float]

    def holder(self, key: str) -> Holder | None:
        """Whose key this is, or None if it opens nothing."""
        item = self.get(key_digest(key))
        if item is None:
            return Holder(tenant=DEFAULT_TENANT) if same_key(self.first_key(), key) else None
        # DynamoDB deletes what has expired within days, not at once.
        if "expires_at" in item and item["expires_at"] <= self.now_s():
            return None
        return Holder(tenant=item["tenant"], tier=item.get("tier", DEFAULT_TIER))
