# Another partition: its own ARNs and names, made with a provider that makes nothing.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn", reverse_dns_prefix = "cn.com.amazonaws" }
  }
  mock_data "aws_region" {
    defaults = { name = "cn-north-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_service_principal" {
    defaults = { name = "service.amazonaws.com.cn" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["cn-north-1a", "cn-north-1b", "cn-north-1d"] }
  }
}

run "china" {
  command = plan
  variables {
    name           = "demo"
    region         = "cn-north-1"
    runtimes_file  = "tests/runtimes.yaml"
    lambda_package = { zip = "tests/runtimes.yaml" }
    # Some have the partition's own prefix there, some have not.
    interface_endpoints = ["logs", "cn.com.amazonaws.cn-north-1.sqs"]
  }

  assert {
    condition     = alltrue([for attachment in aws_iam_role_policy_attachment.node : startswith(attachment.policy_arn, "arn:aws-cn:iam::aws:policy/")])
    error_message = "AWS's own policies are those of the partition."
  }
  assert {
    condition     = aws_vpc_endpoint.gateway["s3"].service_name == "com.amazonaws.cn-north-1.s3"
    error_message = "Gateway endpoints have the same prefix in all partitions."
  }
  assert {
    condition     = toset(values(aws_vpc_endpoint.interface)[*].service_name) == toset(["com.amazonaws.cn-north-1.logs", "cn.com.amazonaws.cn-north-1.sqs"])
    error_message = "A whole name is taken as it is."
  }
  assert {
    condition     = startswith(local.pods_principal, "pods.")
    error_message = "Pod Identity's principal is derived."
  }
  assert {
    condition     = alltrue([for arn in values(local.queue_arns) : startswith(arn, "arn:aws-cn:sqs:cn-north-1:")])
    error_message = "Composed ARNs are of the partition."
  }
}
