# For the processes: folder-less environment files, one for all and one for each bridge.

locals {
  shared_config = {
    DARKROOM_JOB_TABLE         = aws_dynamodb_table.this["jobs"].name
    DARKROOM_BUCKET            = aws_s3_bucket.this["outputs"].id
    DARKROOM_JOBS_TOPIC_ARN    = aws_sns_topic.jobs.arn
    DARKROOM_NOTICES_TOPIC_ARN = aws_sns_topic.notices.arn
    DARKROOM_QUEUE_RETENTION_S = tostring(local.queue_retention_s)
  }
  bridge_config = {
    for queue, job in local.job_queues : "bridge-${queue}" => {
      DARKROOM_RUNTIME          = job.runtime
      DARKROOM_QUEUE_URL        = aws_sqs_queue.working[queue].url
      DARKROOM_PARKED_QUEUE_URL = aws_sqs_queue.last["${job.runtime}-parked"].url
      DARKROOM_VISIBILITY_S     = tostring(local.visibility_s)
      DARKROOM_INPUT_BUCKETS    = join(" ", var.input_buckets)
    }
  }
  dead_letters_config = {
    for runtime in keys(local.runtimes) : "dead-letters-${runtime}" => {
      DARKROOM_RUNTIME                = runtime
      DARKROOM_DEAD_LETTERS_QUEUE_URL = aws_sqs_queue.last["${runtime}-dead-letters"].url
      DARKROOM_QUEUE_URL              = aws_sqs_queue.working[runtime].url
      DARKROOM_PARKED_QUEUE_URL       = aws_sqs_queue.last["${runtime}-parked"].url
    }
  }
  # Of the sweeper and of the webhook worker.
  webhooks_config = {
    DARKROOM_WEBHOOKS_QUEUE_URL = aws_sqs_queue.working["webhooks"].url
  }
}

output "app_config" {
  description = "Environment file -> its variables: `shared` for every process, `bridge-*` for one bridge each, `dead-letters-*` for one worker each, `webhooks` for sweeper and webhook worker."
  value = merge(
    { shared = local.shared_config, webhooks = local.webhooks_config },
    local.bridge_config,
    local.dead_letters_config,
  )
}

# For the cluster's manifests.

output "cluster" {
  description = "What manifests and Helm values name."
  value = {
    name                = aws_eks_cluster.this.name
    region              = local.region
    models_bucket       = local.models_bucket
    interruption_queue  = aws_sqs_queue.interruptions.name
    karpenter_node_role = aws_iam_role.karpenter_node.name
    repositories        = { for image, made in aws_ecr_repository.this : image => made.repository_url }
    ray_token_secret    = aws_secretsmanager_secret.this["ray-token"].name
    webhook_secret      = aws_secretsmanager_secret.this["webhook-signing"].name
    webhook_queue_url   = aws_sqs_queue.working["webhooks"].url
    dead_letter_queues  = { for runtime in keys(local.runtimes) : runtime => aws_sqs_queue.last["${runtime}-dead-letters"].url }
    snapshot_parameter  = "/${var.name}/snapshot"
    system_architecture = var.system_nodes.architecture
    exposure            = local.exposure
    # Where services of AWS may have addresses of the VPC's own: by interface endpoints of ours, or
    # of whoever made the VPC.
    private_cidrs = length(var.interface_endpoints) > 0 || try(var.vpc.private_services, false) ? (local.own_vpc ? [local.vpc_cidr] : data.aws_vpc.given[0].cidr_block_associations[*].cidr_block) : []
  }
}

# For people.

output "api_url" {
  description = "Where the API is."
  value       = aws_api_gateway_stage.this.invoke_url
}

output "commands" {
  description = "What to run next."
  value       = local.commands
}

locals {
  commands = {
    kubeconfig = "aws eks update-kubeconfig --region ${local.region} --name ${aws_eks_cluster.this.name}"
    api_key    = "aws secretsmanager get-secret-value --region ${local.region} --secret-id ${aws_secretsmanager_secret.this["first-key"].name} --query SecretString --output text"
    token      = "aws eks get-token --region ${local.region} --cluster-name ${aws_eks_cluster.this.name} --query status.token --output text"
    first_job  = "curl -s ${aws_api_gateway_stage.this.invoke_url}/v1/jobs -H \"x-api-key: $(aws secretsmanager get-secret-value --region ${local.region} --secret-id ${aws_secretsmanager_secret.this["first-key"].name} --query SecretString --output text)\" -H 'content-type: application/json' -d '{\"input\": {\"prompt\": \"a lighthouse\"}}'"
  }

  # The names under which scripts written for the AWS guidance look for their addresses.
  guidance_outputs = {
    FrontApiEndpoint        = "${aws_api_gateway_stage.this.invoke_url}/"
    GetAPIKeyCommand        = local.commands.api_key
    sdNotificationLambdaARN = aws_sns_topic.jobs.arn
    sdNotificationOutputARN = aws_sns_topic.notices.arn
    OutputS3Bucket          = aws_s3_bucket.this["outputs"].arn
    ClusterName             = aws_eks_cluster.this.name
    ConfigCommand           = local.commands.kubeconfig
    GetTokenCommand         = local.commands.token
  }
}

# They ask CloudFormation. A template needs a resource: this one is only a name.
resource "aws_cloudformation_stack" "guidance" {
  name = "${var.name}Stack"
  template_body = jsonencode({
    AWSTemplateFormatVersion = "2010-09-09"
    Description              = "Outputs only; Terraform made what they name."
    Resources                = { Nothing = { Type = "AWS::CloudFormation::WaitConditionHandle" } }
    Outputs                  = { for name, value in local.guidance_outputs : name => { Value = value } }
  })
}
