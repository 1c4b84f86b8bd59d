# Who may do what: one role for each program, for nothing but what its code calls.

locals {
  all_job_queues  = [for queue in keys(local.job_queues) : local.queue_arns[queue]]
  all_dead_queues = [for runtime in keys(local.runtimes) : local.queue_arns["${runtime}-dead-letters"]]
  all_parked      = [for runtime in keys(local.runtimes) : local.queue_arns["${runtime}-parked"]]
  job_table       = aws_dynamodb_table.this["jobs"].arn
  models          = "arn:${local.partition}:s3:::${local.models_bucket}"
  outputs         = aws_s3_bucket.this["outputs"].arn

  # Statements that several roles have.
  may = {
    use_messages_key = { Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = [aws_kms_key.messaging.arn] }
    read_models = [
      { Action = ["s3:ListBucket"], Resource = [local.models] },
      { Action = ["s3:GetObject"], Resource = ["${local.models}/*"] },
    ]
    # Without it a missing object is 403, which looks like a bucket that is not ours; with it 404.
    tell_missing = { Action = ["s3:ListBucket"], Resource = [local.outputs] }
    pull         = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
    consume      = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
    trace        = { Action = ["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"], Resource = ["*"] }
  }

  # role -> the service account that has it in the cluster.
  pod_roles = {
    bridge             = { namespace = "darkroom", service_account = "bridge" }
    dead-letter-worker = { namespace = "darkroom", service_account = "dead-letter-worker" }
    sweeper            = { namespace = "darkroom", service_account = "sweeper" }
    webhook-worker     = { namespace = "darkroom", service_account = "webhook-worker" }
    ray-head           = { namespace = "darkroom", service_account = "ray-head" }
    replica            = { namespace = "darkroom", service_account = "replica" }
    deep-sleep         = { namespace = "darkroom", service_account = "deep-sleep" }
    batch-job          = { namespace = "darkroom", service_account = "batch-job" }
    telemetry          = { namespace = "darkroom", service_account = "telemetry" }
    keda               = { namespace = "keda", service_account = "keda-operator" }
    karpenter          = { namespace = "kube-system", service_account = "karpenter" }
    s3-csi             = { namespace = "kube-system", service_account = "s3-csi-driver-sa" }
    vpc-cni            = { namespace = "kube-system", service_account = "aws-node" }
  }

  # role -> what it may do. Those that are not in pod_roles are a Lambda's or an instance's.
  permissions = {
    api = concat([
      { Action = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], Resource = [local.job_table] },
      { Action = ["dynamodb:Query"], Resource = ["${local.job_table}/index/by-tenant"] },
      { Action = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], Resource = ["${local.outputs}/*"] },
      local.may.tell_missing,
      { Action = ["sns:Publish"], Resource = [aws_sns_topic.jobs.arn, aws_sns_topic.notices.arn] },
      local.may.use_messages_key,
      local.may.trace,
    ], [local.log_statement["api"]])

    authorizer = [
      { Action = ["dynamodb:GetItem"], Resource = [aws_dynamodb_table.this["keys"].arn] },
      { Action = ["secretsmanager:GetSecretValue"], Resource = [aws_secretsmanager_secret.this["first-key"].arn] },
      local.may.trace,
      local.log_statement["authorizer"],
    ]

    bridge = concat([
      { Action = local.may.consume, Resource = local.all_job_queues },
      { Action = ["sqs:SendMessage"], Resource = local.all_parked },
      { Action = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], Resource = [local.job_table] },
      { Action = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], Resource = ["${local.outputs}/*"] },
      local.may.tell_missing,
      { Action = ["sns:Publish"], Resource = [aws_sns_topic.notices.arn] },
      local.may.use_messages_key,
      local.may.trace,
      ], length(var.input_buckets) == 0 ? [] : [
      # Clients' pictures.
      { Action = ["s3:GetObject"], Resource = [for bucket in var.input_buckets : "arn:${local.partition}:s3:::${bucket}/*"] },
    ])

    dead-letter-worker = [
      { Action = local.may.consume, Resource = local.all_dead_queues },
      { Action = ["sqs:SendMessage"], Resource = concat(local.all_job_queues, local.all_parked) },
      { Action = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"], Resource = [local.job_table] },
      # It finishes what is uploaded but not recorded, and writes the document of what failed.
      { Action = ["s3:GetObject", "s3:PutObject"], Resource = ["${local.outputs}/*"] },
      local.may.tell_missing,
      { Action = ["sns:Publish"], Resource = [aws_sns_topic.notices.arn] },
      local.may.use_messages_key,
    ]

    sweeper = [
      { Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = [local.job_table] },
      { Action = ["dynamodb:Query"], Resource = [for index in ["due", "unpublished", "unannounced"] : "${local.job_table}/index/${index}"] },
      { Action = ["s3:GetObject", "s3:PutObject"], Resource = ["${local.outputs}/requests/*"] },
      local.may.tell_missing,
      { Action = ["sns:Publish"], Resource = [aws_sns_topic.jobs.arn, aws_sns_topic.notices.arn] },
      { Action = ["sqs:SendMessage"], Resource = [local.queue_arns["webhooks"]] },
      local.may.use_messages_key,
    ]

    webhook-worker = [
      { Action = local.may.consume, Resource = [local.queue_arns["webhooks"]] },
      { Action = ["secretsmanager:GetSecretValue"], Resource = [aws_secretsmanager_secret.this["webhook-signing"].arn] },
      { Action = ["dynamodb:GetItem", "dynamodb:UpdateItem"], Resource = [local.job_table] },
      local.may.use_messages_key,
    ]

    # Its scaling policy looks at how much waits.
    ray-head   = [{ Action = ["sqs:GetQueueAttributes"], Resource = local.all_job_queues }]
    keda       = [{ Action = ["sqs:GetQueueAttributes"], Resource = local.all_job_queues }]
    deep-sleep = [{ Action = ["sqs:GetQueueAttributes"], Resource = local.all_job_queues }]

    replica = local.may.read_models
    s3-csi  = local.may.read_models

    # A folder of prompts in, a folder of images out; neither queue nor record.
    batch-job = concat(local.may.read_models, [
      { Action = ["s3:GetObject", "s3:PutObject"], Resource = ["${local.outputs}/batch/*"] },
      local.may.tell_missing,
    ])

    telemetry = [
      { Action = ["cloudwatch:PutMetricData"], Resource = ["*"], Condition = { StringEquals = { "cloudwatch:namespace" = "Darkroom" } } },
      { Action = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"], Resource = ["${aws_cloudwatch_log_group.pods.arn}:*"] },
      local.may.trace,
    ]

    # The addresses of pods; the service's own policy is wider than what IPv4 needs.
    vpc-cni = [
      {
        Action = [
          "ec2:AssignPrivateIpAddresses", "ec2:AttachNetworkInterface", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
          "ec2:DescribeInstances", "ec2:DescribeTags", "ec2:DescribeNetworkInterfaces", "ec2:DescribeInstanceTypes", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups",
          "ec2:DetachNetworkInterface", "ec2:ModifyNetworkInterfaceAttribute", "ec2:UnassignPrivateIpAddresses",
        ]
        Resource = ["*"]
      },
      { Action = ["ec2:CreateTags"], Resource = ["arn:${local.partition}:ec2:*:*:network-interface/*"] },
    ]

    karpenter = local.karpenter_statements

    # An instance that pulls our images and those of EKS's add-ons, and snapshots its own data volume.
    snapshot-builder = [
      { Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
      { Action = local.may.pull, Resource = [for made in aws_ecr_repository.this : made.arn] },
      # The add-ons' are in an account of AWS's own, another one in each region; of this account it
      # is to pull nothing else.
      {
        Action    = local.may.pull
        Resource  = ["arn:${local.partition}:ecr:${local.region}:*:repository/*"]
        Condition = { StringNotEquals = { "aws:ResourceAccount" = local.account } }
      },
      { Action = ["ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"], Resource = ["*"] },
      # The first is Bottlerocket's own: without it SSM's container never starts.
      { Action = ["ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:DescribeSnapshots"], Resource = ["*"] },
      {
        Action    = ["ec2:CreateSnapshot"]
        Resource  = ["arn:${local.partition}:ec2:${local.region}:${local.account}:volume/*"]
        Condition = { StringEquals = { "aws:ResourceTag/darkroom:snapshot-build" = var.name } }
      },
      {
        Action    = ["ec2:CreateSnapshot"]
        Resource  = ["arn:${local.partition}:ec2:${local.region}::snapshot/*"]
        Condition = { StringEquals = { "aws:RequestTag/darkroom:snapshot-build" = var.name } }
      },
      {
        Action    = ["ec2:CreateTags"]
        Resource  = ["arn:${local.partition}:ec2:${local.region}::snapshot/*"]
        Condition = { StringEquals = { "ec2:CreateAction" = "CreateSnapshot" } }
      },
      { Action = ["ssm:PutParameter"], Resource = ["arn:${local.partition}:ssm:${local.region}:${local.account}:parameter/${var.name}/snapshot"] },
    ]
  }

  log_statement = {
    for function in ["api", "authorizer"] : function => {
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws/lambda/${var.name}-${function}:*"]
    }
  }

  trusted = merge(
    { for role in keys(local.pod_roles) : role => { service = "pods", actions = ["sts:AssumeRole", "sts:TagSession"] } },
    { for role in ["api", "authorizer"] : role => { service = "lambda", actions = ["sts:AssumeRole"] } },
    { snapshot-builder = { service = "ec2", actions = ["sts:AssumeRole"] } },
  )
}

resource "aws_iam_role" "this" {
  for_each = local.trusted

  name                 = "${var.name}-${each.key}"
  permissions_boundary = var.permissions_boundary
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge(
      {
        Effect    = "Allow"
        Principal = { Service = local.trusted_principals[each.value.service] }
        Action    = each.value.actions
      },
      # Another account's cluster must not be able to hand our roles to its pods.
      each.value.service == "pods" ? { Condition = { StringEquals = { "aws:SourceAccount" = local.account } } } : {},
    )]
  })
}

locals {
  # EKS's principal with the pods' service before it; the suffix is the same in every partition.
  pods_principal = "pods.${local.principal.eks}"
  # In China EC2 goes by both names.
  ec2_principals = distinct([local.principal.ec2, "ec2.${data.aws_partition.current.dns_suffix}"])
  trusted_principals = {
    pods   = [local.pods_principal]
    lambda = [local.principal.lambda]
    ec2    = local.ec2_principals
  }
}

resource "aws_iam_role_policy" "this" {
  for_each = local.trusted

  name = "own"
  role = aws_iam_role.this[each.key].id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for statement in local.permissions[each.key] : merge({ Effect = "Allow" }, statement)]
  })
}

resource "aws_eks_pod_identity_association" "this" {
  for_each = local.pod_roles

  cluster_name    = aws_eks_cluster.this.name
  namespace       = each.value.namespace
  service_account = each.value.service_account
  role_arn        = aws_iam_role.this[each.key].arn
}

resource "aws_iam_instance_profile" "snapshot_builder" {
  name = "${var.name}-snapshot-builder"
  role = aws_iam_role.this["snapshot-builder"].name
}

# The control plane's, and all nodes'.
resource "aws_iam_role" "cluster" {
  name                 = "${var.name}-cluster"
  permissions_boundary = var.permissions_boundary
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = local.principal.eks }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonEKSClusterPolicy"
}

# It encrypts Kubernetes's secrets with our key.
resource "aws_iam_role_policy" "cluster_key" {
  name = "key"
  role = aws_iam_role.cluster.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["kms:Encrypt", "kms:Decrypt", "kms:ListGrants", "kms:DescribeKey"], Resource = [aws_kms_key.cluster.arn] }]
  })
}

resource "aws_iam_role" "node" {
  name                 = "${var.name}-node"
  permissions_boundary = var.permissions_boundary
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = local.ec2_principals }, Action = "sts:AssumeRole" }]
  })
}

# A Bottlerocket node asks EC2 for its own name before it starts anything, and boots no further
# without an answer: the "Minimal" policy, made for EKS's Auto Mode, does not allow that.
resource "aws_iam_role_policy_attachment" "node" {
  for_each = toset(["AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonSSMManagedInstanceCore"])

  role       = aws_iam_role.node.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/${each.key}"
}

resource "aws_iam_role" "apigateway_logs" {
  name                 = "${var.name}-apigateway-logs"
  permissions_boundary = var.permissions_boundary
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = local.principal.apigateway }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy_attachment" "apigateway_logs" {
  role       = aws_iam_role.apigateway_logs.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

# API Gateway calls the authorizer with it. A permission on the function would need the REST
# API's id, and the body of the REST API needs the function.
resource "aws_iam_role" "apigateway_authorizer" {
  name                 = "${var.name}-apigateway-authorizer"
  permissions_boundary = var.permissions_boundary
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = local.principal.apigateway }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "apigateway_authorizer" {
  name = "own"
  role = aws_iam_role.apigateway_authorizer.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["lambda:InvokeFunction"], Resource = [aws_lambda_function.this["authorizer"].arn] }]
  })
}
