"""The decision of API Gateway's authorizer: whose request this is."""

from collections.abc import Mapping
from typing import Any

from records.key_table import Holder, KeyTable
from records.keys import presented_key


def authorize(event: Mapping[str, Any], keys: KeyTable, *, usage_prefix: str) -> dict[str, Any]:
    """The authorizer's answer to a request; without a known key it is denied, which is a 403.

    `usage_prefix` and the key's tier are the name by which API Gateway counts the request.
    """
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    key = presented_key(
        x_api_key=headers.get("x-api-key"), authorization=headers.get("authorization")
    )
    holder = keys.holder(key) if key else None
    answer = _answer(event["methodArn"], holder)
    if holder is not None:
        answer["usageIdentifierKey"] = usage_prefix + holder.tier
    return answer


def _answer(method_arn: str, holder: Holder | None) -> dict[str, Any]:
    effect = "Deny" if holder is None else "Allow"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": method_arn}
    return {
        "principalId": holder.tenant if holder else "nobody",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        # API Gateway hands this to the API, and to the access log.
        "context": {"tenant": holder.tenant} if holder else {},
    }
