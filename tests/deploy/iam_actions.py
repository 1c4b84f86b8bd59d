"""From a call that the emulator heard to the IAM action that allows it."""

import re
from functools import cache
from urllib.parse import parse_qs

import botocore.session

#: How a service signs -> how IAM calls it.
PREFIXES = {"monitoring": "cloudwatch", "tagging": "tag"}
#: Services whose calls are told apart by method and path.
BY_PATH = ("s3", "lambda", "eks", "route53", "xray")
#: S3's operations that are allowed by an action of another name.
S3 = {
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListBuckets": "ListAllMyBuckets",
    "HeadObject": "GetObject",
    # Told apart by a header only.
    "CopyObject": "PutObject",
    "DeleteObjects": "DeleteObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeleteBucketOwnershipControls": "PutBucketOwnershipControls",
    "DeleteBucketTagging": "PutBucketTagging",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetBucketCors": "GetBucketCORS",
}
#: Of other services.
OTHERS = {
    "budgets:CreateBudget": "budgets:ModifyBudget",
    "budgets:DeleteBudget": "budgets:ModifyBudget",
    "budgets:CreateNotification": "budgets:ModifyBudget",
    "budgets:DescribeBudget": "budgets:ViewBudget",
    "budgets:DescribeBudgets": "budgets:ViewBudget",
    "budgets:DescribeNotificationsForBudget": "budgets:ViewBudget",
    "budgets:DescribeSubscribersForNotification": "budgets:ViewBudget",
    "logs:ListTagsLogGroup": "logs:ListTagsForResource",
}


def action_of(call):
    """The action, such as `s3:GetObject`; None if no operation of the service is like it."""
    service = call["service"]
    if service == "apigateway":
        return f"apigateway:{call['method']}"
    prefix = PREFIXES.get(service, service)
    if call["action"]:
        name = f"{prefix}:{call['action']}"
        return OTHERS.get(name, name)
    if service in BY_PATH:
        operation = _operation(service, call["method"], call["path"], call["query"])
        if operation is None:
            return None
        return f"{prefix}:{S3.get(operation, operation) if service == 's3' else operation}"
    return None


def _operation(service, method, path, query):
    given = parse_qs(query, keep_blank_values=True)
    given.pop("x-id", None)
    best = None
    for operation, wanted_method, pattern, wanted in _operations(service):
        if wanted_method != method or not pattern.fullmatch(path):
            continue
        if not all(name in given and value in ("", given[name][0]) for name, value in wanted):
            continue
        # The more of the question it asks for, the more it is meant; then the exacter path.
        rank = (len(wanted), -pattern.pattern.count("("))
        if best is None or rank > best[0]:
            best = (rank, operation)
    return best and best[1]


@cache
def _operations(service):
    model = botocore.session.get_session().get_service_model(service)
    found = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        if operation.deprecated:
            continue
        path, _, query = operation.http["requestUri"].partition("?")
        # Some end in a slash that not everybody sends.
        path = path.rstrip("/")
        pattern = re.escape(path).replace(r"\{", "{").replace(r"\}", "}").replace(r"\+", "+")
        pattern = re.sub(r"\{\w+\+\}", "(.+)", pattern)
        # An ARN in a path may bring slashes of its own.
        pattern = re.sub(r"\{\w*[Aa]rn\}", "(.+)", pattern)
        pattern = re.sub(r"\{\w+\}", "([^/]+)", pattern)
        wanted = [
            (key, values[0]) for key, values in parse_qs(query, keep_blank_values=True).items()
        ]
        found.append((name, operation.http["method"], re.compile(pattern + "/?"), wanted))
    return found
