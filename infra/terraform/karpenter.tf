# What Karpenter needs outside the cluster: its permissions, and the queue that tells it of spot
# interruptions. Its node pools are manifests.

locals {
  owned    = { "aws:ResourceTag/kubernetes.io/cluster/${var.name}" = "owned" }
  to_own   = { "aws:RequestTag/kubernetes.io/cluster/${var.name}" = "owned", "aws:RequestTag/eks:eks-cluster-name" = var.name }
  in_pool  = { "aws:ResourceTag/karpenter.sh/nodepool" = "*" }
  to_pool  = { "aws:RequestTag/karpenter.sh/nodepool" = "*" }
  ec2_arns = "arn:${local.partition}:ec2:${local.region}:*"
  made     = ["fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request"]

  # It makes what it tags as this cluster's, and changes and ends nothing else.
  karpenter_statements = [
    {
      Action = ["ec2:RunInstances", "ec2:CreateFleet"]
      Resource = concat(
        ["arn:${local.partition}:ec2:${local.region}::image/*", "arn:${local.partition}:ec2:${local.region}::snapshot/*"],
        [for kind in ["security-group", "subnet", "capacity-reservation"] : "${local.ec2_arns}:${kind}/*"],
      )
    },
    {
      Action    = ["ec2:RunInstances", "ec2:CreateFleet"]
      Resource  = ["${local.ec2_arns}:launch-template/*"]
      Condition = { StringEquals = local.owned, StringLike = local.in_pool }
    },
    {
      Action    = ["ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"]
      Resource  = [for kind in local.made : "${local.ec2_arns}:${kind}/*"]
      Condition = { StringEquals = local.to_own, StringLike = local.to_pool }
    },
    {
      Action   = ["ec2:CreateTags"]
      Resource = [for kind in local.made : "${local.ec2_arns}:${kind}/*"]
      Condition = {
        StringEquals = merge(local.to_own, { "ec2:CreateAction" = ["RunInstances", "CreateFleet", "CreateLaunchTemplate"] })
        StringLike   = local.to_pool
      }
    },
    {
      Action   = ["ec2:CreateTags"]
      Resource = ["${local.ec2_arns}:instance/*"]
      Condition = {
        StringEquals                = local.owned
        StringLike                  = local.in_pool
        StringEqualsIfExists        = { "aws:RequestTag/eks:eks-cluster-name" = var.name }
        "ForAllValues:StringEquals" = { "aws:TagKeys" = ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"] }
      }
    },
    {
      Action    = ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"]
      Resource  = ["${local.ec2_arns}:instance/*", "${local.ec2_arns}:launch-template/*"]
      Condition = { StringEquals = local.owned, StringLike = local.in_pool }
    },
    {
      Action = [
        "ec2:DescribeCapacityReservations", "ec2:DescribeImages", "ec2:DescribeInstances", "ec2:DescribeInstanceStatus",
        "ec2:DescribeInstanceTypeOfferings", "ec2:DescribeInstanceTypes", "ec2:DescribeLaunchTemplates",
        "ec2:DescribeSecurityGroups", "ec2:DescribeSpotPriceHistory", "ec2:DescribeSubnets",
      ]
      Resource  = ["*"]
      Condition = { StringEquals = { "aws:RequestedRegion" = local.region } }
    },
    { Action = ["ssm:GetParameter"], Resource = ["arn:${local.partition}:ssm:${local.region}::parameter/aws/service/*"] },
    { Action = ["pricing:GetProducts"], Resource = ["*"] },
    { Action = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueUrl"], Resource = [local.interruptions_arn] },
    {
      Action    = ["iam:PassRole"]
      Resource  = [aws_iam_role.karpenter_node.arn]
      Condition = { StringEquals = { "iam:PassedToService" = local.ec2_principals } }
    },
    {
      Action   = ["iam:CreateInstanceProfile", "iam:TagInstanceProfile"]
      Resource = ["arn:${local.partition}:iam::${local.account}:instance-profile/*"]
      Condition = {
        StringEquals = merge(local.to_own, { "aws:RequestTag/topology.kubernetes.io/region" = local.region })
        StringLike   = { "aws:RequestTag/karpenter.k8s.aws/ec2nodeclass" = "*" }
      }
    },
    {
      Action   = ["iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"]
      Resource = ["arn:${local.partition}:iam::${local.account}:instance-profile/*"]
      Condition = {
        StringEquals = merge(local.owned, { "aws:ResourceTag/topology.kubernetes.io/region" = local.region })
        StringLike   = { "aws:ResourceTag/karpenter.k8s.aws/ec2nodeclass" = "*" }
      }
    },
    { Action = ["iam:GetInstanceProfile"], Resource = ["arn:${local.partition}:iam::${local.account}:instance-profile/*"] },
    { Action = ["iam:ListInstanceProfiles"], Resource = ["*"] },
    { Action = ["eks:DescribeCluster"], Resource = [aws_eks_cluster.this.arn] },
  ]

  interruptions_arn = "arn:${local.partition}:sqs:${local.region}:${local.account}:${var.name}-interruptions"

  # What takes a node away, or is about to.
  interruptions = {
    health         = { source = "aws.health", type = "AWS Health Event" }
    spot           = { source = "aws.ec2", type = "EC2 Spot Instance Interruption Warning" }
    rebalance      = { source = "aws.ec2", type = "EC2 Instance Rebalance Recommendation" }
    state-change   = { source = "aws.ec2", type = "EC2 Instance State-change Notification" }
    capacity-block = { source = "aws.ec2", type = "EC2 Capacity Block Reservation Expiration Warning" }
  }
}

# The node group's role gets its access entry from EKS; Karpenter's nodes are in no group.
resource "aws_eks_access_entry" "karpenter_nodes" {
  cluster_name  = aws_eks_cluster.this.name
  principal_arn = aws_iam_role.karpenter_node.arn
  type          = "EC2_LINUX"
}

resource "aws_iam_role" "karpenter_node" {
  name                 = "${var.name}-karpenter-node"
  permissions_boundary = var.permissions_boundary
  assume_role_policy   = aws_iam_role.node.assume_role_policy
}

resource "aws_iam_role_policy_attachment" "karpenter_node" {
  for_each = aws_iam_role_policy_attachment.node

  role       = aws_iam_role.karpenter_node.name
  policy_arn = each.value.policy_arn
}

resource "aws_sqs_queue" "interruptions" {
  name = "${var.name}-interruptions"
  # By SQS's own key: whether EventBridge may use one of ours under a condition AWS says of topics
  # only, and there it may not.
  sqs_managed_sse_enabled = true
  # A warning is about the next two minutes.
  message_retention_seconds = 300
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "sqs:*"
        Resource  = local.interruptions_arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "FromRules"
        Effect    = "Allow"
        Principal = { Service = local.principal.events }
        Action    = "sqs:SendMessage"
        Resource  = local.interruptions_arn
        Condition = { ArnEquals = { "aws:SourceArn" = [for rule in aws_cloudwatch_event_rule.interruption : rule.arn] } }
      },
    ]
  })
}

resource "aws_cloudwatch_event_rule" "interruption" {
  for_each = local.interruptions

  name          = "${var.name}-${each.key}"
  event_pattern = jsonencode({ source = [each.value.source], detail-type = [each.value.type] })
}

resource "aws_cloudwatch_event_target" "interruption" {
  for_each = local.interruptions

  rule = aws_cloudwatch_event_rule.interruption[each.key].name
  arn  = aws_sqs_queue.interruptions.arn
}
