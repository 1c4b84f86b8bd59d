"""Who may do what: the policies as they were applied, asked about every role and resource."""

import json

import decision
import pytest
from ministack.core.iam_evaluator import parse_policy_document
from rights import ACCOUNT, CONDITIONS, SQS, TABLE_OF_RIGHTS

#: Of what has no name that is known beforehand: each has a test of its own.
ASKED_BY_ID = {"kms:Decrypt", "kms:GenerateDataKey", "secretsmanager:GetSecretValue"}


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
    return decision.allowed([statements], action, resource, told, account=ACCOUNT)


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


def test_every_right_that_is_given_is_asked_about(policies):
    """A role's new action has to come with a row that says to what, and who else."""
    asked = {(role, action) for (action, _), roles in TABLE_OF_RIGHTS.items() for role in roles}
    asked |= {(role, action) for role, action, _, _, answer in CONDITIONS if answer}
    given = {
        (role, action)
        for role, statements in policies.items()
        for statement in statements
        for action in statement.actions
    }
    assert {each for each in given - asked if each[1] not in ASKED_BY_ID} == set()
    assert len(given) > 90


def test_roles_of_services_have_these_policies_and_no_more(applied):
    """Those of AWS that are attached, and our own beside the programs'."""
    attached = {
        (made["role"], made["policy_arn"].partition(":policy/")[2])
        for made in applied.of_type("aws_iam_role_policy_attachment").values()
    }
    node = (
        *("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"),
        "AmazonSSMManagedInstanceCore",
    )
    assert attached == {
        ("demo-cluster", "AmazonEKSClusterPolicy"),
        ("demo-apigateway-logs", "service-role/AmazonAPIGatewayPushToCloudWatchLogs"),
        *((role, policy) for role in ("demo-node", "demo-karpenter-node") for policy in node),
    }
    own = {
        made["role"]: {
            action
            for statement in json.loads(made["policy"])["Statement"]
            for action in statement["Action"]
        }
        for address, made in applied.of_type("aws_iam_role_policy").items()
        if ".this[" not in address
    }
    assert own == {
        "demo-cluster": {"kms:Encrypt", "kms:Decrypt", "kms:ListGrants", "kms:DescribeKey"},
        "demo-apigateway-authorizer": {"lambda:InvokeFunction"},
    }


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
        if action in messages and not resource.endswith("-interruptions")
        for role in TABLE_OF_RIGHTS[action, resource]
    }
    may = {role for role, found in policies.items() if allowed(found, "kms:Decrypt", key)}
    assert may == meet
    may = {role for role, found in policies.items() if allowed(found, "kms:GenerateDataKey", key)}
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
