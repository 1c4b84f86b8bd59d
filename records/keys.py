"""API keys: whose request is this.

Only hashes are kept: `DARKROOM_API_KEYS` is JSON, SHA-256 of the key (hex) -> tenant.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from jobs.environment import BadSetting

#: A tenant becomes part of S3 keys and of message attributes.
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
#: Whose jobs they are while no keys are configured.
DEFAULT_TENANT = "default"


@dataclass(frozen=True)
class KeyRing:
    """The keys of one installation. An empty ring lets everybody in as the default tenant."""

    tenants: Mapping[str, str]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read `DARKROOM_API_KEYS`; `BadSetting` if it is not what it should be."""
        try:
            tenants = json.loads(text) if text.strip() else {}
        except ValueError as error:
            raise BadSetting(f"DARKROOM_API_KEYS is not JSON: {error}") from error
        if not isinstance(tenants, dict):
            raise BadSetting("DARKROOM_API_KEYS must be an object of SHA-256 -> tenant")
        for digest, tenant in tenants.items():
            named = isinstance(tenant, str) and _TENANT.fullmatch(tenant)
            if not re.fullmatch(r"[0-9a-f]{64}", digest) or not named:
                raise BadSetting("DARKROOM_API_KEYS: each entry is a SHA-256 in hex -> a tenant")
        return cls(tenants)

    def tenant(self, *, x_api_key: str | None, authorization: str | None) -> str | None:
        """The tenant of a request with these headers, or None if it may not enter."""
        if not self.tenants:
            return DEFAULT_TENANT
        key = presented_key(x_api_key=x_api_key, authorization=authorization)
        if key is None:
            return None
        digest = key_digest(key)
        for known, tenant in self.tenants.items():
            if hmac.compare_digest(known, digest):
                return tenant
        return None


def presented_key(*, x_api_key: str | None, authorization: str | None) -> str | None:
    """The key of a request with these headers."""
    scheme, _, bearer = (authorization or "").partition(" ")
    return x_api_key or (bearer.strip() if scheme.lower() == "bearer" else "") or None


def same_key(known: str, key: str) -> bool:
    """Whether `key` is the `known` one, compared in a time that tells nothing."""
    return hmac.compare_digest(key_digest(known), key_digest(key))


def key_digest(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()
