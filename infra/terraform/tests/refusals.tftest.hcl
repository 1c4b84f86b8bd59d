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
    alarms                = { email = "nobody" }
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
    var.alarms,
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
    alarms         = { monthly_budget_usd = 0 }
    exposure       = { mode = "everywhere" }
  }
  expect_failures = [
    var.checkpoints,
    var.name,
    var.lambda_package,
    var.tiers,
    var.system_nodes,
    var.alarms,
    var.exposure,
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

# What nobody may come to by mistake, one by one.

run "networks_without_a_load_balancer" {
  command = plan
  variables {
    exposure = { cidrs = ["192.0.2.0/24"] }
  }
  expect_failures = [var.exposure]
}

run "within_the_vpc_for_a_runtime_that_is_none" {
  command = plan
  variables {
    exposure = { mode = "internal", runtime = "nobody" }
  }
  expect_failures = [var.exposure]
}

run "public_without_networks" {
  command = plan
  variables {
    exposure = { mode = "public", hostname = "ui.example.org", zone_id = "Z0123456789" }
  }
  expect_failures = [var.exposure]
}

run "public_without_a_certificate" {
  command = plan
  variables {
    exposure = { mode = "public", cidrs = ["192.0.2.0/24"] }
  }
  expect_failures = [var.exposure]
}

run "the_whole_internet_without_a_certificate" {
  command = plan
  variables {
    exposure = { mode = "internal", runtime = "demo", cidrs = ["0.0.0.0/0"] }
  }
  expect_failures = [var.exposure]
}

run "a_hostname_without_its_zone" {
  command = plan
  variables {
    exposure = { mode = "internal", runtime = "demo", hostname = "ui.example.org" }
  }
  expect_failures = [var.exposure]
}

run "a_hostname_that_is_an_address" {
  command = plan
  variables {
    exposure = { mode = "internal", runtime = "demo", hostname = "https://ui.example.org", zone_id = "Z0123456789" }
  }
  expect_failures = [var.exposure]
}

run "networks_that_are_none" {
  command = plan
  variables {
    exposure = { mode = "internal", runtime = "demo", cidrs = ["192.0.2.1/24"] }
  }
  expect_failures = [var.exposure]
}

run "public_in_an_existing_vpc_without_public_subnets" {
  command = plan
  variables {
    vpc      = { id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"] }
    exposure = { mode = "public", hostname = "ui.example.org", zone_id = "Z0123456789", cidrs = ["192.0.2.0/24"] }
  }
  expect_failures = [var.exposure]
}

run "a_region_with_one_zone" {
  command = plan
  override_data {
    target = data.aws_availability_zones.available
    values = { names = ["us-west-1a"] }
  }
  expect_failures = [aws_vpc.this]
}
