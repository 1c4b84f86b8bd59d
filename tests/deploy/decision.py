"""What IAM decides of a request, by the emulator's own evaluator."""

from ministack.core.iam_evaluator import EvalContext, evaluate


def allowed(policies, action, resource, told=None, *, user=None, account, region="us-east-1"):
    """Whether these parsed policies allow it; `told` are its condition keys, in lower case.

    A role asks, unless it is the user of that name.
    """
    kind, name = (
        ("User", f"iam::{account}:user/{user}")
        if user
        else ("AssumedRole", f"sts::{account}:assumed-role/a/b")
    )
    request = EvalContext(
        principal_arn=f"arn:aws:{name}",
        principal_type=kind,
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=region,
        source_ip="192.0.2.1",
        secure_transport=True,
        service_context=told or {},
    )
    return evaluate(request, policies).decision == "Allow"
