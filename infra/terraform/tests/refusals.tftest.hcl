# Values that must not be accepted: each variable of a run must be refused.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws", reverse_dns_prefix = "com.amazonaws" }
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
}

variables {
  name           = "demo"
  runtimes_file  = "tests/runtimes.yaml"
  lambda_package = { zip = "tests/runtimes.yaml" }
}

run "refused" {
  command = plan
  variables {
    name                  = "Demo"
    region                = "Oregon"
    tags                  = { "aws:x" = "y" }
    runtimes_file         = "tests/none.yaml"
    lambda_package        = { zip = "tests/runtimes.yaml", architecture = "riscv" }
    stage                 = "a/b"
    tiers                 = { gold = { rate = 1, burst = 1 } }
    output_retention_days = 0.5
    log_retention_days    = 2
    vpc                   = { id = "vpc-1", subnet_ids = ["subnet-1"] }
    interface_endpoints   = ["s3"]
    kubernetes_version    = "1.29"
    addon_versions        = { vpc-cni = "latest" }
    admin_cidrs           = ["0.0.0.0/0"]
    admin_principals      = ["admin"]
    system_nodes          = { count = 0 }
    alarm_email           = "nobody"
    monthly_budget_usd    = 0
    input_buckets         = ["s3://pictures/a"]
    models_bucket         = "s3://weights"
    permissions_boundary  = "boundary"
  }
  expect_failures = [
    var.name,
    var.region,
    var.tags,
    var.runtimes_file,
    var.lambda_package,
    var.stage,
    var.tiers,
    var.output_retention_days,
    var.log_retention_days,
    var.vpc,
    var.interface_endpoints,
    var.kubernetes_version,
    var.addon_versions,
    var.admin_cidrs,
    var.admin_principals,
    var.system_nodes,
    var.alarm_email,
    var.monthly_budget_usd,
    var.input_buckets,
    var.models_bucket,
    var.permissions_boundary,
  ]
}

run "refused_for_another_reason" {
  command = plan
  variables {
    checkpoints    = { "a.ckpt" = "nowhere" }
    name           = "d"
    lambda_package = { zip = "tests/runtimes.yaml", python = "2.7" }
    tiers          = { standard = { rate = 5, burst = 1 } }
    system_nodes   = { architecture = "riscv" }
  }
  expect_failures = [
    var.checkpoints,
    var.name,
    var.lambda_package,
    var.tiers,
    var.system_nodes,
  ]
}

run "refused_for_a_third_reason" {
  command = plan
  variables {
    runtimes_file = "tests/collision.yaml"
  }
  expect_failures = [
    var.runtimes_file,
  ]
}
