terraform {
  # 1.11: write-only arguments, which keep secrets out of the state, and S3's own lock file.
  required_version = ">= 1.11, < 2"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6"
    }
  }

  # Partial: bucket, key and region come with `terraform init -backend-config=...`.
  backend "s3" {
    use_lockfile = true
    encrypt      = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = merge(var.tags, { "darkroom:installation" = var.name })
  }
}

data "aws_partition" "current" {}
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}

# A service's name as a principal: not the same in every partition, so nobody spells it here.
data "aws_service_principal" "of" {
  for_each     = toset(["apigateway", "budgets", "cloudwatch", "ec2", "eks", "events", "lambda", "sns"])
  service_name = each.key
}

locals {
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
  account   = data.aws_caller_identity.current.account_id
  principal = { for service, found in data.aws_service_principal.of : service => found.name }

  # runtime -> its models and replicas; API, bridge and Serve read the same file.
  runtimes = yamldecode(file(var.runtimes_file)).runtimes
}
