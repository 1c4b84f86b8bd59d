"""What the deployer may do to what: the shipped policies, asked with true names and tags."""

import json

import decision
import pytest
from iam_actions import action_of
from ministack.core.iam_evaluator import parse_policy_document

from darkroom.deploy.permissions import policies
from darkroom.deploy.wanted import Wanted

ACCOUNT = "111122223333"
REGION = "us-west-2"
WANTED = Wanted(name="demo", region=REGION)
STATE = f"arn:aws:s3:::{WANTED.state_bucket(ACCOUNT)}"
OUTPUTS = f"arn:aws:s3:::demo-outputs-{ACCOUNT}-{REGION}"
MODELS = f"arn:aws:s3:::demo-models-{ACCOUNT}-{REGION}"
EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}:"
SNAPSHOT = f"arn:aws:ec2:{REGION}::snapshot/snap-1"
IAM = f"arn:aws:iam::{ACCOUNT}:"
API = f"arn:aws:apigateway:{REGION}::"
KARPENTERS = f"{IAM}instance-profile/karpenter/{REGION}/{{0}}/7c9e6679/{{0}}_1234567890"
BOUNDED = {"iam:permissionsboundary": f"{IAM}policy/demo-boundary"}
OURS = {"aws:resourcetag/darkroom:installation": "demo"}
TO_BE_OURS = {"aws:requesttag/darkroom:installation": "demo"}
FOUND_BY_KARPENTER = {
    "aws:requesttag/karpenter.sh/discovery/demo": "demo",
    "aws:tagkeys": ["karpenter.sh/discovery/demo"],
}
BUILDING = {"aws:requesttag/darkroom:snapshot-build": "demo"}


def regional(service, rest):
    """An ARN in the installation's account and region."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


#: (action, resource, what the request says of itself): deploying, watching, removing.
NEEDED = [
    ("s3:CreateBucket", STATE, {}),
    ("s3:ListBucket", STATE, {}),
    ("s3:PutBucketVersioning", STATE, {}),
    ("s3:PutEncryptionConfiguration", STATE, {}),
    ("s3:PutBucketPublicAccessBlock", STATE, {}),
    ("s3:PutBucketPolicy", STATE, {}),
    ("s3:PutBucketTagging", STATE, {}),
    ("s3:GetBucketVersioning", STATE, {}),
    ("s3:ListBucketVersions", STATE, {}),
    ("s3:DeleteBucket", STATE, {}),
    ("s3:GetObject", f"{STATE}/{WANTED.state_key}", {}),
    ("s3:PutObject", f"{STATE}/{WANTED.state_key}", {}),
    ("s3:PutObject", f"{STATE}/{WANTED.state_key}.tflock", {}),
    ("s3:DeleteObject", f"{STATE}/{WANTED.state_key}.tflock", {}),
    ("s3:DeleteObjectVersion", f"{STATE}/{WANTED.state_key}", {}),
    ("s3:CreateBucket", OUTPUTS, {}),
    ("s3:PutLifecycleConfiguration", OUTPUTS, {}),
    ("s3:GetObject", f"{OUTPUTS}/default/a/a-0000-1.png", {}),
    ("s3:DeleteObjectVersion", f"{OUTPUTS}/default/a/a-0000-1.png", {}),
    ("s3:ListBucket", MODELS, {}),
    ("s3:PutObject", f"{MODELS}/models/demo/unet.safetensors", {}),
    ("s3:AbortMultipartUpload", f"{MODELS}/models/demo/unet.safetensors", {}),
    ("sqs:CreateQueue", regional("sqs", "demo-demo-batch"), {}),
    ("sqs:ReceiveMessage", regional("sqs", "demo-smoke-test-1"), {}),
    ("sns:Subscribe", regional("sns", "demo-notices"), {}),
    ("sns:GetTopicAttributes", regional("sns", "demo-jobs"), {}),
    ("sns:SetTopicAttributes", regional("sns", "demo-jobs"), {}),
    ("dynamodb:CreateTable", regional("dynamodb", "table/demo-jobs"), {}),
    ("lambda:CreateFunction", regional("lambda", "function:demo-api"), {}),
    ("lambda:PutFunctionConcurrency", regional("lambda", "function:demo-api"), {}),
    ("apigateway:POST", f"{API}/restapis", {}),
    ("apigateway:PUT", f"{API}/restapis/a", OURS),
    ("apigateway:DELETE", f"{API}/restapis/a/stages/live", OURS),
    # Parts that bear no tag.
    ("apigateway:PUT", f"{API}/restapis/a/gatewayresponses/THROTTLED", {}),
    ("apigateway:DELETE", f"{API}/restapis/a/deployments/b", {}),
    ("apigateway:PUT", f"{API}/tags/arn", {}),
    ("apigateway:PATCH", f"{API}/account", {}),
    ("apigateway:DELETE", f"{API}/apikeys/a", OURS),
    ("apigateway:PATCH", f"{API}/usageplans/a", OURS),
    ("apigateway:POST", f"{API}/usageplans/a/keys", {}),
    ("apigateway:DELETE", f"{API}/usageplans/a/keys/b", {}),
    ("secretsmanager:GetSecretValue", regional("secretsmanager", "secret:demo/ray-token-a"), {}),
    ("secretsmanager:GetRandomPassword", "*", {}),
    ("ecr:CreateRepository", regional("ecr", "repository/demo/serve"), {}),
    ("ecr:PutImage", regional("ecr", "repository/demo/serve"), {}),
    # Without names it is asked about all that there are.
    ("ecr:DescribeRepositories", regional("ecr", "repository/*"), {}),
    ("ecr:DescribeRepositories", regional("ecr", "repository/demo/serve"), {}),
    ("cloudformation:CreateStack", regional("cloudformation", "stack/demoStack/a"), {}),
    ("logs:CreateLogGroup", regional("logs", "log-group:/aws/eks/demo/cluster"), {}),
    ("logs:CreateLogGroup", regional("logs", "log-group:/darkroom/demo/pods"), {}),
    ("cloudwatch:PutMetricAlarm", regional("cloudwatch", "alarm:demo-demo-stuck"), {}),
    ("cloudwatch:DescribeAlarms", regional("cloudwatch", "alarm:*"), {}),
    ("cloudwatch:PutDashboard", f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/demo", {}),
    # The last list of a removal.
    ("cloudwatch:ListDashboards", "*", {}),
    ("budgets:ViewBudget", f"arn:aws:budgets::{ACCOUNT}:budget/*", {}),
    ("xray:GetGroups", "*", {}),
    ("kms:ListAliases", "*", {}),
    ("apigateway:GET", f"arn:aws:apigateway:{REGION}::/usageplans", {}),
    ("apigateway:GET", f"arn:aws:apigateway:{REGION}::/apikeys", {}),
    ("ec2:DescribeNatGateways", "*", {}),
    ("events:PutRule", regional("events", "rule/demo-spot"), {}),
    ("budgets:ModifyBudget", f"arn:aws:budgets::{ACCOUNT}:budget/demo", {}),
    # Requests are traced by default, which the emulator cannot do.
    ("xray:CreateGroup", regional("xray", "group/demo/a"), {}),
    ("xray:GetGroup", regional("xray", "group/demo/a"), {}),
    ("xray:DeleteGroup", regional("xray", "group/demo/a"), {}),
    ("xray:CreateSamplingRule", regional("xray", "sampling-rule/demo"), {}),
    ("xray:GetSamplingRules", "*", {}),
    ("xray:DeleteSamplingRule", regional("xray", "sampling-rule/demo"), {}),
    ("xray:PutResourcePolicy", "*", {}),
    ("xray:ListResourcePolicies", "*", {}),
    ("xray:DeleteResourcePolicy", "*", {}),
    ("xray:TagResource", regional("xray", "group/demo/a"), {}),
    # Asked for both at once: a key that is being made has no tag yet.
    ("kms:CreateKey", "*", TO_BE_OURS),
    ("kms:TagResource", regional("kms", "key/*"), TO_BE_OURS),
    # Minutes may pass until a new key's tag counts, and Terraform does not wait.
    ("kms:EnableKeyRotation", regional("kms", "key/a"), {}),
    ("kms:CreateAlias", regional("kms", "key/a"), {}),
    ("kms:PutKeyPolicy", regional("kms", "key/a"), OURS),
    ("kms:CreateAlias", regional("kms", "alias/demo-messaging"), {}),
    ("kms:CreateAlias", regional("kms", "key/a"), OURS),
    ("ec2:CreateVpc", EC2 + "vpc/*", TO_BE_OURS),
    ("ec2:CreateSubnet", EC2 + "subnet/*", {}),
    ("ec2:CreateTags", EC2 + "subnet/subnet-1", {"ec2:createaction": "CreateSubnet"}),
    ("ec2:DeleteSubnet", EC2 + "subnet/subnet-1", OURS),
    ("ec2:ReleaseAddress", EC2 + "elastic-ip/eipalloc-1", OURS),
    # The default security group of a new VPC, which comes without any tag.
    ("ec2:CreateTags", EC2 + "security-group/sg-1", TO_BE_OURS),
    ("ec2:RevokeSecurityGroupIngress", EC2 + "security-group/sg-1", OURS),
    # A rule that is made with tags is asked about beside its group, and has none yet.
    ("ec2:AuthorizeSecurityGroupIngress", EC2 + "security-group/sg-1", OURS),
    ("ec2:AuthorizeSecurityGroupIngress", EC2 + "security-group-rule/*", TO_BE_OURS),
    ("ec2:AuthorizeSecurityGroupEgress", EC2 + "security-group-rule/*", TO_BE_OURS),
    # EKS's own group, by which Karpenter's nodes find each other.
    (
        "ec2:CreateTags",
        EC2 + "security-group/sg-2",
        FOUND_BY_KARPENTER | {"aws:resourcetag/aws:eks:cluster-name": "demo"},
    ),
    # Subnets of an existing VPC, on the way in and on the way out.
    ("ec2:CreateTags", EC2 + "subnet/subnet-1", FOUND_BY_KARPENTER),
    (
        "ec2:DeleteTags",
        EC2 + "subnet/subnet-1",
        {
            "aws:resourcetag/karpenter.sh/discovery/demo": "demo",
            "aws:tagkeys": ["karpenter.sh/discovery/demo"],
        },
    ),
    ("ec2:CreateRoute", EC2 + "route-table/rtb-1", OURS),
    ("ec2:DescribeRouteTables", "*", {}),
    ("ec2:RunInstances", EC2 + "instance/*", BUILDING),
    ("ec2:RunInstances", EC2 + "volume/*", BUILDING),
    ("ec2:RunInstances", EC2 + "subnet/subnet-1", {}),
    ("ec2:CreateTags", EC2 + "instance/i-1", {"ec2:createaction": "RunInstances"}),
    ("ec2:StopInstances", EC2 + "instance/i-1", OURS),
    ("ec2:TerminateInstances", EC2 + "instance/i-1", OURS),
    ("ec2:CreateSnapshot", EC2 + "volume/vol-1", OURS),
    ("ec2:CreateSnapshot", SNAPSHOT, {}),
    ("ec2:CreateTags", SNAPSHOT, OURS),
    ("ec2:DeleteSnapshot", SNAPSHOT, OURS),
    (
        "ssm:SendCommand",
        EC2 + "instance/i-1",
        {"aws:resourcetag/darkroom:snapshot-build": "demo"},
    ),
    ("eks:CreateCluster", regional("eks", "cluster/demo"), {}),
    # A removal lets in whoever removes.
    ("eks:UpdateClusterConfig", regional("eks", "cluster/demo"), {}),
    ("eks:DescribeUpdate", regional("eks", "cluster/demo"), {}),
    ("eks:CreateNodegroup", regional("eks", "cluster/demo"), {}),
    ("eks:DescribeAddonVersions", "*", {}),
    ("eks:DescribeAddon", regional("eks", "addon/demo/vpc-cni/a"), {}),
    ("eks:ListPodIdentityAssociations", regional("eks", "cluster/demo"), {}),
    ("eks:DeletePodIdentityAssociation", regional("eks", "podidentityassociation/demo/a"), {}),
    ("iam:CreateRole", f"{IAM}role/demo-bridge", BOUNDED),
    ("iam:PutRolePolicy", f"{IAM}role/demo-bridge", BOUNDED),
    ("iam:DeleteRole", f"{IAM}role/demo-bridge", {}),
    (
        "iam:PassRole",
        f"{IAM}role/demo-bridge",
        {"iam:passedtoservice": "pods.eks.amazonaws.com"},
    ),
    # Karpenter's, from which the provider takes the role before it deletes that.
    ("iam:RemoveRoleFromInstanceProfile", KARPENTERS.format("demo"), {}),
    ("iam:DeleteInstanceProfile", KARPENTERS.format("demo"), {}),
    ("iam:CreateInstanceProfile", f"{IAM}instance-profile/demo-snapshot-builder", {}),
    # As its older versions name them.
    ("iam:DeleteInstanceProfile", f"{IAM}instance-profile/demo_1234567890", {}),
    ("ec2:DeleteLaunchTemplate", EC2 + "launch-template/lt-1", OURS),
    # The smoke test's job, where the API is closed.
    ("sns:Publish", regional("sns", "demo-jobs"), {}),
    ("tag:GetResources", "*", {}),
    ("servicequotas:GetServiceQuota", "*", {}),
    ("servicequotas:ListServiceQuotas", "*", {}),
    # Where nothing was applied to the account.
    ("servicequotas:GetAWSDefaultServiceQuota", "*", {}),
    ("servicequotas:ListAWSDefaultServiceQuotas", "*", {}),
]
OTHERS = {"aws:resourcetag/darkroom:installation": "another"}
#: The same, of what is somebody else's or asks for more than it should.
REFUSED = [
    ("s3:GetObject", f"arn:aws:s3:::another-{ACCOUNT}-{REGION}-tfstate/terraform.tfstate", {}),
    ("s3:PutObject", "arn:aws:s3:::weights/models/demo/unet.safetensors", {}),
    ("s3:PutObject", "arn:aws:s3:::pictures/a.png", {}),
    ("sqs:DeleteQueue", regional("sqs", "another-demo"), {}),
    ("dynamodb:DeleteTable", regional("dynamodb", "table/another-jobs"), {}),
    ("secretsmanager:GetSecretValue", regional("secretsmanager", "secret:another/a"), {}),
    ("ecr:DeleteRepository", regional("ecr", "repository/another/serve"), {}),
    ("kms:ScheduleKeyDeletion", regional("kms", "key/a"), OTHERS),
    ("kms:TagResource", regional("kms", "key/a"), TO_BE_OURS | OTHERS),
    ("kms:EnableKeyRotation", regional("kms", "key/a"), OTHERS),
    ("kms:CreateAlias", regional("kms", "key/a"), OTHERS),
    ("kms:CreateGrant", regional("kms", "key/a"), {}),
    *((f"apigateway:{verb}", f"{API}/restapis/b", OTHERS) for verb in ("PUT", "PATCH", "DELETE")),
    ("apigateway:DELETE", f"{API}/restapis/b", {}),
    ("apigateway:DELETE", f"{API}/restapis/b/stages/live", OTHERS),
    ("apigateway:DELETE", f"{API}/apikeys/b", OTHERS),
    ("apigateway:DELETE", f"{API}/usageplans/b", OTHERS),
    ("cloudwatch:DeleteAlarms", regional("cloudwatch", "alarm:another-demo-stuck"), {}),
    ("cloudwatch:PutMetricAlarm", regional("cloudwatch", "alarm:demonstration"), {}),
    ("ec2:CreateRoute", EC2 + "route-table/rtb-1", {}),
    ("ec2:CreateRoute", EC2 + "route-table/rtb-1", OTHERS),
    ("iam:DeleteInstanceProfile", KARPENTERS.format("another"), {}),
    ("ec2:CreateTags", EC2 + "instance/i-1", TO_BE_OURS),
    ("ec2:CreateTags", EC2 + "subnet/subnet-1", TO_BE_OURS),
    (
        "ec2:CreateTags",
        EC2 + "subnet/subnet-1",
        {
            "aws:requesttag/karpenter.sh/discovery/another": "another",
            "aws:tagkeys": ["karpenter.sh/discovery/another"],
        },
    ),
    # More than the one tag would make the subnet one that may be deleted.
    (
        "ec2:CreateTags",
        EC2 + "subnet/subnet-1",
        FOUND_BY_KARPENTER
        | TO_BE_OURS
        | {"aws:tagkeys": ["karpenter.sh/discovery/demo", "darkroom:installation"]},
    ),
    (
        "ec2:DeleteTags",
        EC2 + "subnet/subnet-1",
        {"aws:resourcetag/karpenter.sh/discovery/demo": "demo", "aws:tagkeys": ["Name"]},
    ),
    ("ec2:CreateTags", EC2 + "security-group/sg-1", TO_BE_OURS | OTHERS),
    ("ec2:DeleteSecurityGroup", EC2 + "security-group/sg-1", {}),
    ("ec2:RevokeSecurityGroupIngress", EC2 + "security-group/sg-1", OTHERS),
    ("ec2:TerminateInstances", EC2 + "instance/i-1", {}),
    ("ec2:RunInstances", EC2 + "instance/*", {}),
    ("ssm:SendCommand", EC2 + "instance/i-1", OURS),
    ("eks:DeleteCluster", regional("eks", "cluster/another"), {}),
    ("iam:CreateRole", f"{IAM}role/demo-bridge", {}),
    ("iam:DeleteRole", f"{IAM}role/another-bridge", {}),
    (
        "iam:DeleteInstanceProfile",
        f"{IAM}instance-profile/karpenter/{REGION}/another/a/another_1",
        {},
    ),
    (
        "iam:PassRole",
        f"{IAM}role/demo-bridge",
        {"iam:passedtoservice": "codebuild.amazonaws.com"},
    ),
]


def rights(account, region, **more):
    """The statements of who deploys."""
    found = policies(name="demo", account=account, region=region, **more)
    return [
        parse_policy_document(document)
        for name, document in found.items()
        if not name.endswith("-boundary")
    ]


def allowed(statements, action, resource, told):
    """Whether a request is allowed; `told` are its condition keys, in lower case."""
    return decision.allowed(
        statements, action, resource, told, user="ada", account=ACCOUNT, region=REGION
    )


def named(row):
    """A row as a test's name."""
    return row if isinstance(row, str) else ",".join(row)


@pytest.mark.parametrize(("action", "resource", "told"), NEEDED, ids=named)
def test_who_deploys_may(action, resource, told):
    """Each right is enough for a thing by its true name, not only for the action."""
    assert allowed(rights(ACCOUNT, REGION), action, resource, told)


@pytest.mark.parametrize(("action", "resource", "told"), REFUSED, ids=named)
def test_who_deploys_may_not(action, resource, told):
    """What is not this installation's is left alone."""
    assert not allowed(rights(ACCOUNT, REGION), action, resource, told)


@pytest.mark.parametrize(
    ("action", "path"),
    [
        ("s3:ListBucket", ""),
        ("s3:GetObject", "/models/demo/unet.safetensors"),
        ("s3:PutObject", "/models/demo/unet.safetensors"),
        ("s3:AbortMultipartUpload", "/models/demo/unet.safetensors"),
    ],
)
def test_a_bucket_of_models_that_is_named_may_be_filled(action, path):
    """`darkroom permissions --bucket`, for `darkroom deploy --bucket`."""
    statements = rights(ACCOUNT, REGION, bucket="weights")
    assert allowed(statements, action, f"arn:aws:s3:::weights{path}", {})
    assert not allowed(statements, "s3:DeleteObject", f"arn:aws:s3:::weights{path}", {})


OTHERS = ("rehearsed", "standing")


def test_every_call_to_s3_was_about_a_bucket_that_may_be_used(destroyed):
    """The bucket and the object are in the path of what the emulator heard."""
    statements = rights("000000000000", "us-east-1")
    heard = [json.loads(line) for line in destroyed.emulator.calls.read_text().splitlines()]
    asked = {
        (action_of(call), "arn:aws:s3:::" + call["path"].strip("/"))
        for call in heard
        if call["by"] and call["service"] == "s3" and call["path"] != "/"
    }
    # `DeleteObjects` names its objects in the body.
    asked = {
        (action, arn if "/" in arn or action != "s3:DeleteObject" else f"{arn}/*")
        for action, arn in asked
    }
    by_bucket = {}
    for action, arn in asked:
        bucket = arn.rpartition(":")[2].partition("/")[0]
        by_bucket.setdefault(bucket, set()).add((action, arn))
    # Of other installations that tests have, which no policy of this one is about.
    for others in ("state", *(f"{name}-000000000000-us-east-1-tfstate" for name in OTHERS)):
        by_bucket.pop(others, None)
    assert "demo-000000000000-us-east-1-tfstate" in by_bucket
    refused = {
        (action, arn)
        for calls in by_bucket.values()
        for action, arn in calls
        if not allowed(statements, action, arn, {})
    }
    assert refused == set()
