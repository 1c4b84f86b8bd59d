"""`python -m darkroom.deploy.token NAME REGION`: kubectl's credentials for an EKS cluster.

EKS takes a presigned call of STS GetCallerIdentity as token, with the cluster's name among what
is signed. So nobody needs the AWS command line for it.
"""

import base64
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from records.connect import connect

_HEADER = "x-k8s-aws-id"
#: EKS takes a token for 15 minutes, whatever the URL says; a minute less for clocks that differ.
_VALID = timedelta(minutes=14)


def token(sts: Any, name: str) -> str:
    """A token for the cluster of that name."""

    def keep_name(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        context[_HEADER] = params.pop("ClusterName", None)

    def add_header(request: Any, **_: object) -> None:
        request.headers[_HEADER] = request.context[_HEADER]

    events = sts.meta.events
    events.register("provide-client-params.sts.GetCallerIdentity", keep_name)
    events.register("before-sign.sts.GetCallerIdentity", add_header)
    url = sts.generate_presigned_url(
        "get_caller_identity", Params={"ClusterName": name}, ExpiresIn=60, HttpMethod="GET"
    )
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def main(arguments: list[str]) -> int:
    """The process's exit status; the credential goes to stdout, as kubectl expects it."""
    name, region = arguments
    until = datetime.now(UTC) + _VALID
    document = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "kind": "ExecCredential",
        "status": {
            "token": token(connect("sts", region_name=region), name),
            "expirationTimestamp": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }
    sys.stdout.write(json.dumps(document) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
