"""Who may do what: the policies as they were applied, asked about every role and resource."""

import json

import pytest
from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document

ACCOUNT = "000000000000"
SQS = f"arn:aws:sqs:us-east-1:{ACCOUNT}:demo-"
SNS = f"arn:aws:sns:us-east-1:{ACCOUNT}:demo-"
TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/demo-"
MODELS = f"arn:aws:s3:::demo-models-{ACCOUNT}-us-east-1"
OUTPUTS = f"arn:aws:s3:::demo-outputs-{ACCOUNT}-us-east-1"
JOBS = TABLE + "jobs"
EC2 = f"arn:aws:ec2:us-east-1:{ACCOUNT}:"

#: (action, resource) -> the roles that may; all others must not.
TABLE_OF_RIGHTS = {
    ("sqs:ReceiveMessage", SQS + "demo"): {"bridge"},
    ("sqs:ReceiveMessage", SQS + "other-batch"): {"bridge"},
    ("sqs:DeleteMessage", SQS + "demo"): {"bridge"},
    ("sqs:ChangeMessageVisibility", SQS + "demo"): {"bridge"},
    ("sqs:GetQueueAttributes", SQS + "demo"): {"bridge", "ray-head", "keda", "deep-sleep"},
    ("sqs:GetQueueAttributes", SQS + "demo-dead-letters"): {"dead-letter-worker"},
    ("sqs:SendMessage", SQS + "demo"): {"dead-letter-worker"},
    ("sqs:SendMessage", SQS + "demo-parked"): {"bridge", "dead-letter-worker"},
    ("sqs:ReceiveMessage", SQS + "demo-dead-letters"): {"dead-letter-worker"},
    ("sqs:ReceiveMessage", SQS + "demo-parked"): set(),
    ("sqs:ReceiveMessage", SQS + "webhooks"): {"webhook-worker"},
    ("sqs:SendMessage", SQS + "webhooks"): {"sweeper"},
    ("sqs:ReceiveMessage", SQS + "interruptions"): {"karpenter"},
    ("sqs:PurgeQueue", SQS + "demo"): set(),
    ("sqs:ReceiveMessage", f"arn:aws:sqs:us-east-1:{ACCOUNT}:somebody-elses"): set(),
    ("sns:Publish", SNS + "jobs"): {"api", "sweeper"},
    ("sns:Publish", SNS + "notices"): {"api", "sweeper", "bridge", "dead-letter-worker"},
    ("sns:Publish", SNS + "alarms"): set(),
    ("dynamodb:GetItem", JOBS): {
        "api",
        "bridge",
        "dead-letter-worker",
        "sweeper",
        "webhook-worker",
    },
    ("dynamodb:PutItem", JOBS): {"api", "bridge", "dead-letter-worker"},
    ("dynamodb:UpdateItem", JOBS): {
        "api",
        "bridge",
        "dead-letter-worker",
        "sweeper",
        "webhook-worker",
    },
    ("dynamodb:Query", JOBS + "/index/by-tenant"): {"api"},
    ("dynamodb:Query", JOBS + "/index/due"): {"sweeper"},
    ("dynamodb:Scan", JOBS): set(),
    ("dynamodb:DeleteItem", JOBS): set(),
    ("dynamodb:GetItem", TABLE + "keys"): {"authorizer"},
    ("dynamodb:PutItem", TABLE + "keys"): set(),
    ("s3:GetObject", MODELS + "/sd/unet.safetensors"): {"replica", "s3-csi", "batch-job"},
    ("s3:PutObject", MODELS + "/sd/unet.safetensors"): set(),
    ("s3:ListBucket", MODELS): {"replica", "s3-csi", "batch-job"},
    ("s3:GetObject", OUTPUTS + "/default/a/a-0000-1.png"): {
        "api",
        "bridge",
        "dead-letter-worker",
    },
    ("s3:PutObject", OUTPUTS + "/default/a/a-0000-1.png"): {
        "api",
        "bridge",
        "dead-letter-worker",
    },
    ("s3:DeleteObject", OUTPUTS + "/default/a/a-0000-1.png"): {"api", "bridge"},
    ("s3:GetObject", OUTPUTS + "/requests/a.json"): {
        "api",
        "bridge",
        "dead-letter-worker",
        "sweeper",
    },
    ("s3:PutObject", OUTPUTS + "/requests/a.json"): {
        "api",
        "bridge",
        "dead-letter-worker",
        "sweeper",
    },
    ("s3:PutObject", OUTPUTS + "/batch/a.png"): {
        "api",
        "bridge",
        "batch-job",
        "dead-letter-worker",
    },
    # Without it a missing object looks like one that is not ours.
    ("s3:ListBucket", OUTPUTS): {"api", "batch-job", "bridge", "dead-letter-worker", "sweeper"},
    ("s3:GetObject", "arn:aws:s3:::pictures-of-clients/a.png"): {"bridge"},
    ("s3:PutBucketPolicy", OUTPUTS): set(),
    ("s3:GetObject", "arn:aws:s3:::state/darkroom"): set(),
    ("ec2:TerminateInstances", EC2 + "instance/i-of-somebody-else"): set(),
    ("ec2:RunInstances", EC2 + "instance/*"): set(),
    ("ec2:DeleteVolume", EC2 + "volume/vol-1"): set(),
    ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin"): set(),
    ("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/a"): set(),
    ("cloudwatch:PutMetricData", "*"): set(),
    ("xray:PutTraceSegments", "*"): {"api", "authorizer", "bridge", "telemetry"},
    ("ecr:BatchGetImage", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/demo/serve"): {
        "snapshot-builder"
    },
    ("ecr:PutImage", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/demo/serve"): set(),
    ("ssm:PutParameter", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/demo/snapshot"): {
        "snapshot-builder"
    },
    ("eks:DescribeCluster", f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/demo"): {"karpenter"},
}
OWNED = {
    "aws:resourcetag/kubernetes.io/cluster/demo": "owned",
    "aws:resourcetag/karpenter.sh/nodepool": "gpu",
}
#: (role, action, resource, what the request says of itself) -> whether it is allowed.
CONDITIONS = [
    ("karpenter", "ec2:TerminateInstances", EC2 + "instance/i-1", OWNED, True),
    (
        "karpenter",
        "ec2:TerminateInstances",
        EC2 + "instance/i-1",
        OWNED | {"aws:resourcetag/kubernetes.io/cluster/demo": "shared"},
        False,
    ),
    (
        "karpenter",
        "iam:PassRole",
        f"arn:aws:iam::{ACCOUNT}:role/demo-karpenter-node",
        {"iam:passedtoservice": "ec2.amazonaws.com"},
        True,
    ),
    (
        "karpenter",
        "iam:PassRole",
        f"arn:aws:iam::{ACCOUNT}:role/demo-karpenter-node",
        {"iam:passedtoservice": "lambda.amazonaws.com"},
        False,
    ),
    # The images of EKS's add-ons are AWS's.
    (
        "snapshot-builder",
        "ecr:BatchGetImage",
        "arn:aws:ecr:us-east-1:602401143452:repository/eks/kube-proxy",
        {"aws:resourceaccount": "602401143452"},
        True,
    ),
    (
        "snapshot-builder",
        "ecr:BatchGetImage",
        f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/somebody-elses",
        {"aws:resourceaccount": ACCOUNT},
        False,
    ),
    ("telemetry", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "Darkroom"}, True),
    ("telemetry", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/SQS"}, False),
]


@pytest.fixture(scope="module")
def policies(applied):
    """Role -> its statements, as Terraform applied them."""
    return {
        made["role"].removeprefix("demo-"): parse_policy_document(made["policy"])
        for address, made in applied.of_type("aws_iam_role_policy").items()
        if ".this[" in address
    }


def allowed(statements, action, resource, told=None):
    """Whether a request is allowed; `told` are its condition keys, in lower case."""
    request = EvalContext(
        principal_arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/a/b",
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=action,
        resource_arn=resource,
        region="us-east-1",
        source_ip="192.0.2.1",
        secure_transport=True,
        service_context=told or {},
    )
    return evaluate(request, [statements]).decision == "Allow"


def test_there_is_a_role_for_each_program(policies):
    """None too many: a role that nobody has is one that nobody watches."""
    assert set(policies) == {
        *("api", "authorizer", "snapshot-builder"),
        *("bridge", "dead-letter-worker", "sweeper", "webhook-worker", "batch-job", "deep-sleep"),
        *("ray-head", "replica", "keda", "karpenter", "s3-csi", "vpc-cni", "telemetry"),
    }


@pytest.mark.parametrize("asked", TABLE_OF_RIGHTS, ids=lambda asked: " ".join(asked)[:80])
def test_exactly_these_roles_may(policies, asked):
    """Each role is asked about each action and resource of the table."""
    may = {role for role, statements in policies.items() if allowed(statements, *asked)}
    assert may == TABLE_OF_RIGHTS[asked]


@pytest.mark.parametrize(("role", "action", "resource", "told", "answer"), CONDITIONS)
def test_a_condition_decides(policies, role, action, resource, told, answer):
    """Karpenter ends what it has made, and telemetry writes to no metric of AWS's own."""
    assert allowed(policies[role], action, resource, told) is answer


def test_who_meets_an_encrypted_queue_or_topic_may_use_its_key(applied, policies):
    """Without it a message can be neither sent nor read, whatever else is allowed."""
    key = applied.resources["aws_kms_key.messaging"]["arn"]
    messages = ("sqs:ReceiveMessage", "sqs:SendMessage", "sns:Publish")
    meet = {
        role
        for action, resource in TABLE_OF_RIGHTS
        if action in messages
        for role in TABLE_OF_RIGHTS[action, resource]
    }
    may = {role for role, found in policies.items() if allowed(found, "kms:Decrypt", key)}
    assert may == meet


def test_secrets_are_read_by_those_who_use_them(applied, policies):
    """Ray's token is mounted by the operator's own means, not by any of our roles."""
    readers = {
        name: {
            role
            for role, statements in policies.items()
            if allowed(
                statements,
                "secretsmanager:GetSecretValue",
                applied.resources[f'aws_secretsmanager_secret.this["{name}"]']["arn"],
            )
        }
        for name in ("first-key", "webhook-signing", "ray-token")
    }
    assert readers == {
        "first-key": {"authorizer"},
        "webhook-signing": {"webhook-worker"},
        "ray-token": set(),
    }


def test_policies_fit_iam_with_as_many_runtimes_as_are_allowed(applied):
    """A role's inline policies may have 10,240 characters.

    Twenty runtimes have ten times the queues of the two here, and an ARN at most 110 characters:
    a name of 24, a runtime of 32, the longest suffix, and a partition, region and account.
    """
    for address, made in applied.of_type("aws_iam_role_policy").items():
        document = json.loads(made["policy"])
        queues = [
            name
            for statement in document["Statement"]
            for name in statement["Resource"]
            if name.startswith(SQS) and "-interruptions" not in name
        ]
        rest = len(json.dumps(document, separators=(",", ":"))) - sum(map(len, queues))
        assert rest + 10 * len(queues) * 110 <= 10_240, address


def test_no_role_may_do_everything_to_something(policies):
    """No action of ours is a whole service, and only listings and traces are of everything."""
    unbounded = {
        action
        for statements in policies.values()
        for statement in statements
        if "*" in statement.resources and not statement.conditions
        for action in statement.actions
    }
    harmless = ("describe", "list", "put", "get", "update", "create", "open")
    assert {name for name in unbounded if "*" in name} == set()
    services = {name.partition(":")[0] for name in unbounded}
    assert services <= {"xray", "ec2", "ecr", "ssm", "ssmmessages", "pricing", "iam"}
    assert all(
        name.partition(":")[2]
        .lower()
        .startswith((*harmless, "assign", "attach", "delete", "detach", "modify", "unassign"))
        for name in unbounded
    )


def test_pods_get_their_roles_by_service_account(applied):
    """Pod Identity: one association for each role of the cluster, none shared."""
    associations = applied.of_type("aws_eks_pod_identity_association")
    places = {(made["namespace"], made["service_account"]) for made in associations.values()}
    assert len(places) == len(associations) == 13
    for address, made in applied.of_type("aws_iam_role").items():
        trusted = json.loads(made["assume_role_policy"])["Statement"][0]
        if "pods.eks.amazonaws.com" in trusted["Principal"]["Service"]:
            assert trusted["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}, address
