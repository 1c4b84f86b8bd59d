# Rules that hold whatever is made: asked of a plan against a provider that makes nothing.

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
    defaults = { names = ["us-west-2a", "us-west-2b", "us-west-2c", "us-west-2d"] }
  }
}

variables {
  name           = "demo"
  runtimes_file  = "tests/runtimes.yaml"
  lambda_package = { zip = "tests/runtimes.yaml" }
  checkpoints    = { "first.safetensors" = "demo" }
}

# As it is when little is said. One run: each is a plan of everything, and takes seconds.
run "by_default" {
  command = plan

  # Filters.
  assert {
    condition     = toset(keys(aws_sns_topic_subscription.jobs)) == toset(["demo", "demo-batch", "other", "other-batch"])
    error_message = "Each runtime has a queue and a batch queue."
  }
  assert {
    condition = jsondecode(aws_sns_topic_subscription.jobs["other-batch"].filter_policy) == {
      runtime  = ["other"]
      priority = ["batch"]
    }
    error_message = "A batch queue takes its runtime's batch jobs."
  }
  assert {
    condition     = jsondecode(aws_sns_topic_subscription.jobs["demo"].filter_policy)["$or"][1].sd_model_checkpoint == ["first.safetensors"]
    error_message = "A checkpoint leads to its runtime where no runtime is named."
  }
  assert {
    condition     = jsondecode(aws_sns_topic_subscription.unrouted.filter_policy)["$or"][0].runtime[0].anything-but == ["demo", "other"]
    error_message = "The catch-all takes what names no known runtime."
  }

  # Data.
  assert {
    condition     = alltrue([for bucket in aws_s3_bucket_public_access_block.this : bucket.block_public_acls && bucket.block_public_policy && bucket.ignore_public_acls && bucket.restrict_public_buckets])
    error_message = "Nothing is public."
  }
  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : table.deletion_protection_enabled && table.billing_mode == "PAY_PER_REQUEST"])
    error_message = "Records are not deleted by mistake, and cost nothing while idle."
  }
  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.this : !bucket.force_destroy])
    error_message = "Images are not deleted by mistake."
  }
  assert {
    condition = jsondecode(aws_ecr_lifecycle_policy.this["serve"].policy).rules[0].selection == {
      tagStatus     = "tagged"
      tagPrefixList = ["deployed"]
      countType     = "imageCountMoreThan"
      countNumber   = 100000
    }
    error_message = "What was deployed is matched by the first rule, which expires nothing."
  }
  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.image_scanning_configuration[0].scan_on_push && repository.image_tag_mutability == "IMMUTABLE"])
    error_message = "Images are scanned, and a tag stays what it is."
  }

  # API.
  assert {
    condition     = aws_api_gateway_rest_api.this.api_key_source == "AUTHORIZER"
    error_message = "Keys are the authorizer's business."
  }
  assert {
    condition     = alltrue([for function in aws_lambda_function.this : function.architectures == tolist(["arm64"]) && function.runtime == "python3.13" && length(function.vpc_config) == 0])
    error_message = "arm64, the newest Python, outside the VPC."
  }
  assert {
    condition     = !strcontains(aws_api_gateway_stage.this.access_log_settings[0].format, "apiKey") && !strcontains(aws_api_gateway_stage.this.access_log_settings[0].format, "header")
    error_message = "No key reaches a log."
  }
  assert {
    condition     = aws_lambda_function.this["api"].timeout < 29
    error_message = "The function ends before API Gateway gives up."
  }

  # Cluster.
  assert {
    condition     = aws_eks_cluster.this.upgrade_policy[0].support_type == "STANDARD"
    error_message = "Extended support costs 365 USD a month."
  }
  assert {
    condition     = jsondecode(aws_eks_addon.before_nodes["vpc-cni"].configuration_values).enableNetworkPolicy == "true"
    error_message = "NetworkPolicies without effect are worse than none."
  }
  assert {
    condition     = !aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].endpoint_private_access
    error_message = "Without admin_cidrs there is no public endpoint."
  }
  assert {
    condition     = aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions
    error_message = "While nobody is named, whoever makes the cluster gets in."
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_subnet.private) == 3
    error_message = "One NAT gateway for three zones."
  }
  assert {
    condition     = data.aws_availability_zones.available.exclude_zone_ids == toset(["cac1-az3", "use1-az3", "usw1-az2"])
    error_message = "EKS refuses a control plane in these zones."
  }
  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && toset(keys(aws_vpc_endpoint.gateway)) == toset(["s3", "dynamodb"])
    error_message = "Gateway endpoints only: the others cost."
  }
  assert {
    condition     = alltrue([for options in aws_launch_template.system.metadata_options : options.http_tokens == "required" && options.http_put_response_hop_limit == 1])
    error_message = "A pod must not reach the node's credentials."
  }
  assert {
    condition     = aws_eks_node_group.system.capacity_type == "ON_DEMAND" && aws_eks_node_group.system.labels["darkroom/nodes"] == "system"
    error_message = "The system nodes stay, and can be selected."
  }
}

run "tracing" {
  command = plan

  assert {
    condition     = length(aws_xray_group.this) == 1 && length(aws_xray_sampling_rule.this) == 1 && aws_api_gateway_stage.this.xray_tracing_enabled
    error_message = "By default requests are traced."
  }
}

run "one_nat_gateway_per_zone" {
  command = plan
  variables {
    nat_per_zone = true
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "One for each zone."
  }
}

run "two_zones" {
  command = plan
  variables {
    nat_per_zone = true
  }
  override_data {
    target = data.aws_availability_zones.available
    values = { names = ["us-west-1a", "us-west-1c"] }
  }

  assert {
    condition     = join(" ", aws_subnet.private[*].availability_zone) == "us-west-1a us-west-1c" && length(aws_subnet.public) == 2 && length(aws_nat_gateway.this) == 2
    error_message = "A region with two zones has a network in both."
  }
}

run "existing_vpc" {
  command = plan
  variables {
    vpc = { id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"], route_table_ids = ["rtb-1"] }
  }

  assert {
    condition     = length(aws_vpc.this) == 0 && length(aws_subnet.private) == 0 && length(aws_nat_gateway.this) == 0 && length(aws_route.nat) == 0
    error_message = "Nothing of a network is made in an existing VPC."
  }
  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].subnet_ids == toset(["subnet-1", "subnet-2"])
    error_message = "The cluster is in the given subnets."
  }
  assert {
    condition     = toset(keys(aws_vpc_endpoint.gateway)) == toset(["s3", "dynamodb"])
    error_message = "The given route tables get what they lack."
  }
  assert {
    condition     = length(output.cluster.private_cidrs) == 0
    error_message = "Pods reach nothing in a VPC that nobody says has services of AWS."
  }
  assert {
    condition     = toset(keys(aws_ec2_tag.discovery)) == toset(["subnet-1", "subnet-2"])
    error_message = "Karpenter finds the given subnets by their tag."
  }
  assert {
    condition     = alltrue([for tag in aws_ec2_tag.discovery : tag.key == "karpenter.sh/discovery/demo"])
    error_message = "A tag of the installation's own: another in the same subnets would overwrite it."
  }
}

run "existing_vpc_with_endpoints" {
  command = plan
  variables {
    vpc = { id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"], route_table_ids = ["rtb-1"], gateway_endpoints = ["dynamodb"], private_services = true }
  }
  override_data {
    target = data.aws_vpc.given[0]
    values = { cidr_block_associations = [{ association_id = "a", cidr_block = "10.9.0.0/16", state = "associated" }] }
  }

  assert {
    condition     = output.cluster.private_cidrs[0] == "10.9.0.0/16"
    error_message = "Pods reach the networks in which services of AWS have addresses."
  }

  assert {
    condition     = keys(aws_vpc_endpoint.gateway) == ["dynamodb"]
    error_message = "What the route tables have is not made a second time."
  }
}

run "administrators" {
  command = plan
  variables {
    admin_cidrs      = ["192.0.2.0/24"]
    admin_principals = ["arn:aws:iam::111122223333:role/admin"]
  }

  assert {
    condition     = !aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions && length(aws_eks_access_entry.admin) == 1
    error_message = "Who is named administers the cluster, and nobody else."
  }

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].public_access_cidrs == toset(["192.0.2.0/24"])
    error_message = "The public endpoint is for the given networks."
  }
}

run "existing_models_bucket" {
  command = plan
  variables {
    models_bucket        = "weights"
    permissions_boundary = "arn:aws:iam::111122223333:policy/demo-boundary"
  }
  assert {
    condition     = toset(keys(aws_s3_bucket.this)) == toset(["outputs"]) && length(aws_s3_bucket_versioning.models) == 0
    error_message = "A bucket of models that is there is used, and neither made nor changed."
  }
  assert {
    condition     = output.cluster.models_bucket == "weights"
    error_message = "Who reads models is told its name."
  }
  assert {
    condition     = alltrue([for role in aws_iam_role.this : role.permissions_boundary == "arn:aws:iam::111122223333:policy/demo-boundary"])
    error_message = "Every role has the boundary."
  }
}

run "exposed_to_nobody" {
  command = plan

  assert {
    condition     = length(aws_lb.this) + length(aws_security_group.balancer) + length(aws_lb_target_group.this) + length(aws_autoscaling_attachment.system) + length(aws_acm_certificate.this) + length(aws_route53_record.alias) == 0
    error_message = "By default there is no load balancer, and nothing for one."
  }
  assert {
    condition     = output.cluster.exposure == null && !contains(keys(aws_secretsmanager_secret.this), "ui-password")
    error_message = "Nor a password that costs something, nor anything for the manifests."
  }
}

run "exposed_within_the_vpc" {
  command = plan
  variables {
    exposure = { mode = "internal", runtime = "demo" }
  }

  assert {
    condition     = aws_lb.this[0].internal && length(aws_acm_certificate.this) == 0 && length(aws_route53_record.alias) == 0
    error_message = "Without a hostname it needs no certificate and no record."
  }
  assert {
    condition     = { for what, listener in aws_lb_listener.this : what => "${listener.protocol} ${listener.port}" } == { ui = "HTTP 80", serve = "HTTP 8000", dashboard = "HTTP 8265" }
    error_message = "Each has a port of its own."
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.visitors : "${rule.cidr_ipv4} ${rule.from_port}-${rule.to_port}"]) == toset(["10.0.0.0/16 80-80", "10.0.0.0/16 8000-8000", "10.0.0.0/16 8265-8265"])
    error_message = "Unless others are named, the VPC may come, and to these ports only."
  }
  assert {
    condition     = alltrue([for what, rule in aws_vpc_security_group_ingress_rule.from_balancer : rule.from_port == output.cluster.exposure.node_ports[what] && rule.to_port == rule.from_port && rule.cidr_ipv4 == null])
    error_message = "Nodes let the load balancer in on its ports, and nobody else."
  }
  assert {
    condition     = output.cluster.exposure.networks == tolist(aws_subnet.private[*].cidr_block) && output.cluster.exposure.runtime == "demo"
    error_message = "Pods are told where its calls come from."
  }
  assert {
    condition     = contains(keys(aws_secretsmanager_secret.this), "ui-password")
    error_message = "The page has a password."
  }
}

run "exposed_within_the_vpc_with_tls" {
  command = plan
  variables {
    exposure = { mode = "internal", runtime = "demo", hostname = "darkroom.example.org", zone_id = "Z0123456789", cidrs = ["192.0.2.0/24"] }
  }

  assert {
    condition     = { for what, listener in aws_lb_listener.this : what => "${listener.protocol} ${listener.port}" } == { ui = "HTTPS 443", serve = "HTTPS 8000", dashboard = "HTTPS 8265" }
    error_message = "All of them speak HTTPS."
  }
  assert {
    condition     = output.cluster.exposure.urls == { ui = "https://darkroom.example.org", serve = "https://darkroom.example.org:8000", dashboard = "https://darkroom.example.org:8265" }
    error_message = "People are told where it is."
  }
}

run "exposed_to_the_internet" {
  command = plan
  variables {
    exposure = { mode = "public", runtime = "demo", hostname = "darkroom.example.org", zone_id = "Z0123456789", cidrs = ["192.0.2.0/24", "198.51.100.7/32"] }
  }

  assert {
    condition     = !aws_lb.this[0].internal
    error_message = "Internet-facing."
  }
  assert {
    condition     = keys(aws_lb_listener.this) == ["ui"] && keys(aws_lb_target_group.this) == ["ui"] && keys(aws_vpc_security_group_ingress_rule.from_balancer) == ["ui"] && keys(aws_vpc_security_group_egress_rule.to_nodes) == ["ui"]
    error_message = "The page alone: Serve has no login, and nothing of it is reachable, by listener, target or rule."
  }
  assert {
    condition     = aws_lb_listener.this["ui"].protocol == "HTTPS" && aws_lb_listener.this["ui"].port == 443 && aws_lb_listener.to_tls[0].default_action[0].type == "redirect" && aws_lb_listener.to_tls[0].default_action[0].redirect[0].protocol == "HTTPS"
    error_message = "HTTPS only; port 80 sends there."
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.visitors : "${rule.cidr_ipv4} ${rule.from_port}"]) == toset(["192.0.2.0/24 80", "192.0.2.0/24 443", "198.51.100.7/32 80", "198.51.100.7/32 443"])
    error_message = "Who is named may come, and nobody else."
  }
  assert {
    condition     = aws_acm_certificate.this[0].domain_name == "darkroom.example.org" && aws_route53_record.alias[0].zone_id == "Z0123456789" && aws_route53_record.alias[0].name == "darkroom.example.org"
    error_message = "The certificate is of the name, and the name leads here."
  }
  assert {
    condition     = output.cluster.exposure.networks == tolist(aws_subnet.public[*].cidr_block)
    error_message = "Its calls come from the public subnets, where no pod is."
  }
}

run "exposed_in_an_existing_vpc" {
  command = plan
  variables {
    vpc      = { id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"], public_subnet_ids = ["subnet-3", "subnet-4"] }
    exposure = { mode = "public", runtime = "demo", hostname = "darkroom.example.org", zone_id = "Z0123456789", cidrs = ["192.0.2.0/24"] }
  }

  assert {
    condition     = aws_lb.this[0].subnets == toset(["subnet-3", "subnet-4"])
    error_message = "In its public subnets."
  }
}
