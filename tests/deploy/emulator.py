"""ministack, and the four things that it lacks and we use: `python emulator.py`.

- PutRestApi, although ministack can read an OpenAPI body: CloudFormation's stacks bring some.
- With `api_key_source = AUTHORIZER` API Gateway counts a request under the key that the authorizer
  names in `usageIdentifierKey`; ministack only ever looks at the header.
- The group of EKS's nodes is Auto Scaling's and has target groups, the cluster's security group is
  EC2's and has rules; ministack's EKS only names both.
- In China a caller's ARN is of China's partition: Terraform's provider goes by it.

With EMULATOR_CALLS, a file, it notes each kind of call that it is asked: whose right to make it
the deployer's policy has to give.
"""

import json
import os
import re
import runpy
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import parse_qs

from ministack import app as ministack_app
from ministack.core.responses import get_region
from ministack.services import apigateway_v1, autoscaling, ec2, eks, sts

_ANY = "x-amazon-apigateway-any-method"
_usage_key: ContextVar[str | None] = ContextVar("usage_key", default=None)
_invoke = apigateway_v1._invoke_authorizer_lambda
_handle = apigateway_v1.handle_request
_handle_sts = sts.handle_request


async def _invoke_authorizer(*arguments):
    """The authorizer's answer, with its usage key kept for the check that comes next."""
    result = await _invoke(*arguments)
    answer = (result or {}).get("body")
    answer = json.loads(answer) if isinstance(answer, str | bytes) else answer
    _usage_key.set((answer or {}).get("usageIdentifierKey"))
    return result


async def _handle_request(method, path, headers, body, query_params):
    """Any request, with `PUT /restapis/{id}` among them."""
    parts = path.strip("/").split("/")
    if method == "PUT" and parts[0] == "restapis" and len(parts) == 2:
        return _put_rest_api(parts[1], json.loads(body))
    return await _handle(method, path, headers, body, query_params)


def _put_rest_api(api_id, document):
    """The API with the document's methods, whatever it had before."""
    resources = apigateway_v1._resources[api_id]
    for name in [name for name, resource in resources.items() if resource["path"] != "/"]:
        del resources[name]
    apigateway_v1._authorizers_v1[api_id] = {}
    schemes = apigateway_v1._import_security_schemes(api_id, document)
    for path, methods in document["paths"].items():
        known = {("any" if name == _ANY else name): methods[name] for name in methods}
        apigateway_v1._import_path_item(api_id, path, known, schemes)
    api = apigateway_v1._rest_apis[api_id]
    api["binaryMediaTypes"] = document["x-amazon-apigateway-binary-media-types"]
    return apigateway_v1._get_rest_api(api_id)


async def _handle_sts_request(*arguments):
    """Who the caller is, in the partition of the region that was asked."""
    status, headers, body = await _handle_sts(*arguments)
    if get_region().startswith("cn-"):
        text = body.decode() if isinstance(body, bytes) else body
        body = text.replace("arn:aws:", "arn:aws-cn:").encode()
    return status, headers, body


#: Group of nodes -> the target groups that its nodes are in.
_targets = {}


def _attach_targets(params):
    """As AWS answers, with nothing."""
    group, arns = _group_and_targets(params)
    _targets.setdefault(group, []).extend(arns)
    return autoscaling._xml(
        200, "AttachLoadBalancerTargetGroupsResponse", "<AttachLoadBalancerTargetGroupsResult/>"
    )


def _detach_targets(params):
    """Likewise."""
    group, arns = _group_and_targets(params)
    _targets[group] = [arn for arn in _targets.get(group, ()) if arn not in arns]
    return autoscaling._xml(
        200, "DetachLoadBalancerTargetGroupsResponse", "<DetachLoadBalancerTargetGroupsResult/>"
    )


def _group_and_targets(params):
    arns = autoscaling._parse_member_list(params, "TargetGroupARNs")
    return params["AutoScalingGroupName"], arns


def _describe_groups(params):
    """Those that are asked for, with their target groups."""
    groups = "".join(
        f"<member><AutoScalingGroupName>{name}</AutoScalingGroupName><TargetGroupARNs>"
        + "".join(f"<member>{arn}</member>" for arn in _targets.get(name, ()))
        + "</TargetGroupARNs></member>"
        for name in autoscaling._parse_member_list(params, "AutoScalingGroupNames")
    )
    listed = f"<AutoScalingGroups>{groups}</AutoScalingGroups>"
    return autoscaling._xml(
        200,
        "DescribeAutoScalingGroupsResponse",
        f"<DescribeAutoScalingGroupsResult>{listed}</DescribeAutoScalingGroupsResult>",
    )


_make_cluster, _end_cluster = eks._create_cluster, eks._delete_cluster


def _create_cluster(body, *arguments, **named):
    """The cluster, and its security group."""
    answer = _make_cluster(body, *arguments, **named)
    group = _group_of_cluster(body["name"])
    if group:
        ec2._security_groups[group] = {
            "GroupId": group,
            "GroupName": f"eks-cluster-sg-{body['name']}",
            "Description": "EKS created security group",
            "VpcId": "",
            "OwnerId": eks.get_account_id(),
            "IpPermissions": [],
            "IpPermissionsEgress": [],
        }
    return answer


def _delete_cluster(name):
    """Both of them."""
    ec2._security_groups.pop(_group_of_cluster(name), None)
    return _end_cluster(name)


def _group_of_cluster(name):
    cluster = eks._clusters.get(name) or {}
    return cluster.get("resourcesVpcConfig", {}).get("clusterSecurityGroupId", "")


_app = ministack_app.app
_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([a-z0-9-]+)/aws4_request")
_noted = set()


async def _noting_app(scope, receive, send):
    """The emulator, which notes who signed for which service, and what was asked."""
    if scope["type"] != "http":
        await _app(scope, receive, send)
        return
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
    signed = _SCOPE.search(headers.get("authorization", ""))
    bodies = []

    async def heard():
        message = await receive()
        bodies.append(message.get("body", b""))
        return message

    await _app(scope, heard, send)
    if signed:
        _note(signed[1], scope, headers, b"".join(bodies))


def _note(service, scope, headers, body):
    agent = headers.get("user-agent", "").lower()
    form = "x-www-form-urlencoded" in headers.get("content-type", "")
    action = parse_qs(body.decode("latin-1")).get("Action", [""])[0] if form else ""
    call = {
        "service": service,
        "action": action or headers.get("x-amz-target", "").rpartition(".")[2],
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        # Whose call it is: what tests ask on their own is nobody's.
        "by": next((who for who in ("terraform", "deployer") if who in agent), ""),
    }
    if call["action"]:
        call |= {"path": "", "query": ""}
    line = json.dumps(call)
    if line not in _noted:
        _noted.add(line)
        with Path(os.environ["EMULATOR_CALLS"]).open("a") as file:
            file.write(line + "\n")


if os.environ.get("EMULATOR_CALLS"):
    ministack_app.app = _noting_app

apigateway_v1._OPENAPI_HTTP_METHODS.add("any")
apigateway_v1._invoke_authorizer_lambda = _invoke_authorizer
apigateway_v1._api_key_from_request = lambda headers: _usage_key.get()

autoscaling._ACTION_MAP |= {
    "AttachLoadBalancerTargetGroups": _attach_targets,
    "DetachLoadBalancerTargetGroups": _detach_targets,
    "DescribeAutoScalingGroups": _describe_groups,
}
eks._create_cluster, eks._delete_cluster = _create_cluster, _delete_cluster
apigateway_v1.handle_request = _handle_request
sts.handle_request = _handle_sts_request

if __name__ == "__main__":
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)
