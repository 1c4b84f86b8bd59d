"""Which role may do what to which resource: what the tests of roles ask about."""

ACCOUNT = "000000000000"
SQS = f"arn:aws:sqs:us-east-1:{ACCOUNT}:demo-"
SNS = f"arn:aws:sns:us-east-1:{ACCOUNT}:demo-"
TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/demo-"
MODELS = f"arn:aws:s3:::demo-models-{ACCOUNT}-us-east-1"
OUTPUTS = f"arn:aws:s3:::demo-outputs-{ACCOUNT}-us-east-1"
JOBS = TABLE + "jobs"
EC2 = f"arn:aws:ec2:us-east-1:{ACCOUNT}:"
LOGS = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:"
PROFILE = f"arn:aws:iam::{ACCOUNT}:instance-profile/demo_1"

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
    ("ec2:CreateTags", EC2 + "network-interface/eni-1"): {"vpc-cni"},
    ("ec2:CreateTags", EC2 + "instance/i-1"): set(),
    ("ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-1"): {"karpenter"},
    ("ec2:CreateFleet", EC2 + "subnet/subnet-1"): {"karpenter"},
    ("iam:GetInstanceProfile", PROFILE): {"karpenter"},
    ("iam:ListInstanceProfiles", "*"): {"karpenter"},
    ("pricing:GetProducts", "*"): {"karpenter"},
    ("ssm:GetParameter", "arn:aws:ssm:us-east-1::parameter/aws/service/a"): {"karpenter"},
    ("ssm:GetParameter", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/demo/snapshot"): set(),
    ("ecr:GetAuthorizationToken", "*"): {"snapshot-builder"},
    ("eks:DescribeCluster", f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/demo"): {"karpenter"},
}
#: (actions, resource) -> the roles, of actions that are given together.
TOGETHER = [
    (
        ("sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"),
        SQS + "demo-dead-letters",
        {"dead-letter-worker"},
    ),
    (
        ("sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"),
        SQS + "webhooks",
        {"webhook-worker"},
    ),
    (("sqs:DeleteMessage", "sqs:GetQueueUrl"), SQS + "interruptions", {"karpenter"}),
    (("dynamodb:Query",), JOBS + "/index/unpublished", {"sweeper"}),
    (("dynamodb:Query",), JOBS + "/index/unannounced", {"sweeper"}),
    (
        ("xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"),
        "*",
        {"api", "authorizer", "bridge", "telemetry"},
    ),
    *(
        (("logs:CreateLogStream", "logs:PutLogEvents"), LOGS + group + ":log-stream:a", {role})
        for group, role in {
            "/aws/lambda/demo-api": "api",
            "/aws/lambda/demo-authorizer": "authorizer",
            "/darkroom/demo/pods": "telemetry",
        }.items()
    ),
    (("logs:DescribeLogStreams",), LOGS + "/darkroom/demo/pods:log-stream:a", {"telemetry"}),
    (
        (
            *("ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
            *("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"),
            *("ec2:AttachNetworkInterface", "ec2:DetachNetworkInterface"),
            *("ec2:ModifyNetworkInterfaceAttribute", "ec2:DescribeNetworkInterfaces"),
            "ec2:DescribeTags",
        ),
        "*",
        {"vpc-cni"},
    ),
    # A Bottlerocket instance starts nothing before it has asked EC2 for its name.
    (("ec2:DescribeInstances",), "*", {"vpc-cni", "karpenter", "snapshot-builder"}),
    (
        (
            "ec2:DescribeInstanceTypes",
            *("ec2:DescribeSubnets", "ec2:DescribeSecurityGroups"),
        ),
        "*",
        {"vpc-cni", "karpenter"},
    ),
    (
        (
            *("ec2:DescribeCapacityReservations", "ec2:DescribeImages"),
            *("ec2:DescribeInstanceStatus", "ec2:DescribeInstanceTypeOfferings"),
            *("ec2:DescribeLaunchTemplates", "ec2:DescribeSpotPriceHistory"),
        ),
        "*",
        {"karpenter"},
    ),
    (("ec2:DescribeVolumes", "ec2:DescribeSnapshots"), "*", {"snapshot-builder"}),
    (
        ("ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"),
        f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/demo/serve",
        {"snapshot-builder"},
    ),
    (
        (
            *("ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel"),
            *("ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel"),
            "ssmmessages:OpenDataChannel",
        ),
        "*",
        {"snapshot-builder"},
    ),
]
TABLE_OF_RIGHTS |= {
    (action, resource): roles for actions, resource, roles in TOGETHER for action in actions
}
OWNED = {
    "aws:resourcetag/kubernetes.io/cluster/demo": "owned",
    "aws:resourcetag/karpenter.sh/nodepool": "gpu",
}
TO_OWN = {
    "aws:requesttag/kubernetes.io/cluster/demo": "owned",
    "aws:requesttag/eks:eks-cluster-name": "demo",
    "aws:requesttag/karpenter.sh/nodepool": "gpu",
}
#: Of an instance profile, beside the cluster's.
CLASS = {
    f"aws:{kind}tag/{key}": value
    for kind in ("request", "resource")
    for key, value in {
        "topology.kubernetes.io/region": "us-east-1",
        "karpenter.k8s.aws/ec2nodeclass": "gpu",
    }.items()
}
BUILD = "darkroom:snapshot-build"
SNAPSHOT = "arn:aws:ec2:us-east-1::snapshot/snap-1"
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
    *(
        ("karpenter", f"ec2:{action}", EC2 + thing, told, answer)
        for action, thing in {
            "RunInstances": "instance/*",
            "CreateFleet": "fleet/*",
            "CreateLaunchTemplate": "launch-template/*",
        }.items()
        for told, answer in (
            (TO_OWN, True),
            (TO_OWN | {"aws:requesttag/kubernetes.io/cluster/demo": "shared"}, False),
            (TO_OWN | {"aws:requesttag/eks:eks-cluster-name": "another"}, False),
            ({}, False),
        )
    ),
    ("karpenter", "ec2:RunInstances", EC2 + "launch-template/lt-1", OWNED, True),
    ("karpenter", "ec2:RunInstances", EC2 + "launch-template/lt-1", {}, False),
    ("karpenter", "ec2:DeleteLaunchTemplate", EC2 + "launch-template/lt-1", OWNED, True),
    ("karpenter", "ec2:DeleteLaunchTemplate", EC2 + "launch-template/lt-1", {}, False),
    # While it makes something, and afterwards only these three tags.
    *(
        ("karpenter", "ec2:CreateTags", EC2 + "instance/i-1", told, answer)
        for told, answer in (
            (TO_OWN | {"ec2:createaction": "RunInstances"}, True),
            (TO_OWN | {"ec2:createaction": "CreateVolume"}, False),
            (TO_OWN, False),
            (OWNED | {"aws:tagkeys": ["Name", "karpenter.sh/nodeclaim"]}, True),
            (OWNED | {"aws:tagkeys": ["Name", "darkroom:installation"]}, False),
            ({"aws:tagkeys": ["Name"]}, False),
        )
    ),
    *(
        ("karpenter", f"iam:{action}", PROFILE, told, answer)
        for action, mark in {
            "CreateInstanceProfile": TO_OWN,
            "TagInstanceProfile": TO_OWN,
            "AddRoleToInstanceProfile": OWNED,
            "RemoveRoleFromInstanceProfile": OWNED,
            "DeleteInstanceProfile": OWNED,
        }.items()
        for told, answer in ((mark | CLASS, True), (mark, False), (CLASS, False))
    ),
    *(
        ("snapshot-builder", "ec2:CreateSnapshot", thing, {f"aws:{kind}tag/{BUILD}": whose}, answer)
        for thing, kind in ((EC2 + "volume/vol-1", "resource"), (SNAPSHOT, "request"))
        for whose, answer in (("demo", True), ("another", False))
    ),
    ("snapshot-builder", "ec2:CreateSnapshot", EC2 + "volume/vol-1", {}, False),
    ("snapshot-builder", "ec2:CreateTags", SNAPSHOT, {"ec2:createaction": "CreateSnapshot"}, True),
    ("snapshot-builder", "ec2:CreateTags", SNAPSHOT, {}, False),
]
