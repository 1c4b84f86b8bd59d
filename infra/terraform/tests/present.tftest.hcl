# What is there and no emulator keeps: read off what a provider makes that makes nothing,
# because a policy is known only when its ARNs are.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com", reverse_dns_prefix = "com.amazonaws" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_service_principal" {
    defaults = { name = "service.amazonaws.com" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-west-2a", "us-west-2b", "us-west-2c"] }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::a-bucket" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-west-2:111122223333:a-topic" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:us-west-2:111122223333:a-queue" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-west-2:111122223333:key/a-key" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/a-role" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-west-2:111122223333:log-group:a-group" }
  }
  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:us-west-2:111122223333:secret:a-secret" }
  }
  mock_resource "aws_lambda_function" {
    defaults = {
      arn        = "arn:aws:lambda:us-west-2:111122223333:function:a-function"
      invoke_arn = "arn:aws:apigateway:us-west-2:lambda:path/a-function/invocations"
    }
  }
  mock_resource "aws_api_gateway_rest_api" {
    defaults = { execution_arn = "arn:aws:execute-api:us-west-2:111122223333:an-api" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
}

variables {
  name                  = "demo"
  runtimes_file         = "tests/runtimes.yaml"
  lambda_package        = { zip = "tests/runtimes.yaml" }
  output_retention_days = 11
  tiers = {
    standard = { rate = 7, burst = 9 }
    daily    = { rate = 2, burst = 3, requests_a_day = 500 }
  }
}

run "made" {
  command = apply

  # Buckets.
  assert {
    condition = { for rule in aws_s3_bucket_lifecycle_configuration.this["outputs"].rule : rule.id => rule.status } == {
      "stray-uploads" = "Enabled"
      "outputs"       = "Enabled"
    }
    error_message = "Images go after their days, and halves of uploads sooner."
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this["outputs"].rule : rule if rule.id == "outputs"]).expiration[0].days == 11
    error_message = "The days are those that were asked for."
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this["models"].rule : rule if rule.id == "replaced-models"]).noncurrent_version_expiration[0].noncurrent_days == 30
    error_message = "A replaced model can be had back for 30 days."
  }
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.this["models"].rule : length(rule.expiration) == 0])
    error_message = "No model goes by itself."
  }
  assert {
    condition     = alltrue([for made in aws_s3_bucket_lifecycle_configuration.this : one([for rule in made.rule : rule if rule.id == "stray-uploads"]).abort_incomplete_multipart_upload[0].days_after_initiation == 1])
    error_message = "Halves of uploads are paid for a day at most."
  }
  assert {
    condition     = toset(keys(aws_s3_bucket_ownership_controls.this)) == toset(["models", "outputs"]) && alltrue([for made in aws_s3_bucket_ownership_controls.this : made.rule[0].object_ownership == "BucketOwnerEnforced"])
    error_message = "Access lists are off: a bucket's policy decides."
  }
  assert {
    condition     = toset(keys(aws_s3_bucket_server_side_encryption_configuration.this)) == toset(["models", "outputs"])
    error_message = "Both buckets are encrypted."
  }
  assert {
    condition = toset(keys(aws_s3_bucket_policy.tls_only)) == toset(["models", "outputs"]) && alltrue([
      for made in aws_s3_bucket_policy.tls_only : jsondecode(made.policy).Statement == [{
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "s3:*"
        Resource  = ["arn:aws:s3:::a-bucket", "arn:aws:s3:::a-bucket/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }]
    ])
    error_message = "Nobody comes to a bucket without TLS."
  }

  # Topics.
  assert {
    condition = toset(keys(aws_sns_topic_policy.tls_only)) == toset(["jobs", "notices"]) && alltrue([
      for policy in concat([for made in aws_sns_topic_policy.tls_only : made.policy], [aws_sns_topic_policy.alarms.policy]) :
      one([for statement in jsondecode(policy).Statement : statement if statement.Effect == "Deny"]) == {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "sns:Publish"
        Resource  = "arn:aws:sns:us-west-2:111122223333:a-topic"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }
    ])
    error_message = "Nobody publishes to a topic without TLS."
  }
  assert {
    condition     = alltrue([for topic in [aws_sns_topic.jobs, aws_sns_topic.notices, aws_sns_topic.alarms] : topic.kms_master_key_id == "arn:aws:kms:us-west-2:111122223333:key/a-key"])
    error_message = "Topics are encrypted with our key, which their publishers may use."
  }

  # Cluster.
  assert {
    condition = jsondecode(aws_eks_addon.after_nodes["aws-mountpoint-s3-csi-driver"].configuration_values).node.tolerations == [
      { key = "nvidia.com/gpu", operator = "Exists", effect = "NoSchedule" }
    ]
    error_message = "Models are mounted on GPU nodes, too."
  }
  assert {
    condition     = aws_eks_cluster.this.encryption_config[0].resources == toset(["secrets"]) && aws_eks_cluster.this.encryption_config[0].provider[0].key_arn == "arn:aws:kms:us-west-2:111122223333:key/a-key"
    error_message = "Kubernetes's secrets are encrypted with our key."
  }
  assert {
    condition = { for made in aws_launch_template.system.tag_specifications : made.resource_type => made.tags } == {
      instance = tomap({ Name = "demo-system", "darkroom:installation" = "demo" })
      volume   = tomap({ Name = "demo-system", "darkroom:installation" = "demo" })
    }
    error_message = "The budget counts nodes and their disks by the installation's tag."
  }

  # API.
  assert {
    condition     = aws_api_gateway_deployment.this.triggers.body == sha256(local.openapi) && aws_api_gateway_rest_api.this.body == local.openapi
    error_message = "A changed body is deployed."
  }
  assert {
    condition     = aws_api_gateway_method_settings.all.method_path == "*/*" && aws_api_gateway_method_settings.all.settings[0].throttling_rate_limit == 1000 && aws_api_gateway_method_settings.all.settings[0].throttling_burst_limit == 2000
    error_message = "All requests together have a limit."
  }
  assert {
    condition = { for tier, plan in aws_api_gateway_usage_plan.tier : tier => [plan.throttle_settings[0].rate_limit, plan.throttle_settings[0].burst_limit] } == {
      standard = [7, 9]
      daily    = [2, 3]
    }
    error_message = "Each tier has its rate and its burst."
  }
  assert {
    condition     = length(aws_api_gateway_usage_plan.tier["standard"].quota_settings) == 0 && aws_api_gateway_usage_plan.tier["daily"].quota_settings[0].limit == 500 && aws_api_gateway_usage_plan.tier["daily"].quota_settings[0].period == "DAY"
    error_message = "A tier has requests a day only where it says so."
  }
  assert {
    condition     = { for tier, made in aws_api_gateway_api_key.tier : tier => made.value } == { for tier in ["standard", "daily"] : tier => "demo-usage-of-the-tier-${tier}" }
    error_message = "The authorizer finds a tier's plan by this value."
  }

  # Filters without checkpoints.
  assert {
    condition = alltrue([for runtime in ["demo", "other"] : jsondecode(aws_sns_topic_subscription.jobs[runtime].filter_policy) == {
      runtime  = [runtime]
      priority = [{ exists = false }, { anything-but = ["batch"] }]
    }])
    error_message = "Without checkpoints `runtime` alone leads to a runtime."
  }
  assert {
    condition = alltrue([for runtime in ["demo", "other"] : jsondecode(aws_sns_topic_subscription.jobs["${runtime}-batch"].filter_policy) == {
      runtime  = [runtime]
      priority = ["batch"]
    }])
    error_message = "And to its batch queue with a priority."
  }
  assert {
    condition = jsondecode(aws_sns_topic_subscription.unrouted.filter_policy) == {
      runtime = [{ exists = false }, { anything-but = ["demo", "other"] }]
    }
    error_message = "Without checkpoints the catch-all takes what names no known runtime, or none."
  }
}
