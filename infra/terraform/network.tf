# The cluster's network: three zones, or an existing VPC.

data "aws_availability_zones" "available" {
  state = "available"
  # EKS puts no control plane there. By id: a zone's name is another one in each account.
  exclude_zone_ids = ["cac1-az3", "use1-az3", "usw1-az2"]

  # Local Zones have neither EKS control planes nor GPUs.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  own_vpc  = var.vpc == null
  vpc_cidr = "10.0.0.0/16"
  # Three, by position: a GPU that one zone has run out of may be there in another. us-west-1 has two.
  found = data.aws_availability_zones.available.names
  zones = local.own_vpc ? slice(local.found, 0, min(3, length(local.found))) : []
  nats  = local.own_vpc ? (var.nat_per_zone ? local.zones : slice(local.zones, 0, 1)) : []

  # Karpenter finds subnets by it. The name is in the key: a subnet that two clusters share has both.
  discovery = "karpenter.sh/discovery/${var.name}"

  vpc_id          = local.own_vpc ? aws_vpc.this[0].id : var.vpc.id
  subnet_ids      = local.own_vpc ? aws_subnet.private[*].id : var.vpc.subnet_ids
  route_table_ids = local.own_vpc ? aws_route_table.private[*].id : var.vpc.route_table_ids

  gateway_endpoints = local.own_vpc ? toset(["s3", "dynamodb"]) : length(var.vpc.route_table_ids) > 0 ? var.vpc.gateway_endpoints : toset([])
}

data "aws_vpc" "given" {
  count = local.own_vpc ? 0 : 1

  id = var.vpc.id
}

resource "aws_vpc" "this" {
  count = local.own_vpc ? 1 : 0

  cidr_block           = local.vpc_cidr
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = { Name = var.name }

  lifecycle {
    precondition {
      condition     = length(local.zones) >= 2
      error_message = "${var.region} has fewer than two zones that EKS takes: choose another region."
    }
  }
}

# Nobody uses it: without rules it lets nothing through.
resource "aws_default_security_group" "this" {
  count = local.own_vpc ? 1 : 0

  vpc_id = aws_vpc.this[0].id
}

resource "aws_internet_gateway" "this" {
  count = local.own_vpc ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = var.name }
}

# 16,384 addresses a zone for pods.
resource "aws_subnet" "private" {
  count = length(local.zones)

  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(local.vpc_cidr, 2, count.index)

  tags = {
    Name                              = "${var.name}-private-${local.zones[count.index]}"
    (local.discovery)                 = var.name
    "kubernetes.io/role/internal-elb" = "1"
  }
}

resource "aws_subnet" "public" {
  count = length(local.zones)

  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.zones[count.index]
  # The last quarter, above the private ones.
  cidr_block = cidrsubnet(local.vpc_cidr, 4, 12 + count.index)

  tags = {
    Name                     = "${var.name}-public-${local.zones[count.index]}"
    "kubernetes.io/role/elb" = "1"
  }
}

resource "aws_eip" "nat" {
  count = length(local.nats)

  domain = "vpc"
  tags   = { Name = "${var.name}-nat-${local.nats[count.index]}" }
}

resource "aws_nat_gateway" "this" {
  count = length(local.nats)

  allocation_id = aws_eip.nat[count.index].id
  subnet_id     = aws_subnet.public[count.index].id
  tags          = { Name = "${var.name}-${local.nats[count.index]}" }

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  count = local.own_vpc ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = "${var.name}-public" }
}

resource "aws_route" "internet" {
  count = local.own_vpc ? 1 : 0

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "public" {
  count = length(local.zones)

  route_table_id = aws_route_table.public[0].id
  subnet_id      = aws_subnet.public[count.index].id
}

resource "aws_route_table" "private" {
  count = length(local.zones)

  vpc_id = aws_vpc.this[0].id
  tags   = { Name = "${var.name}-private-${local.zones[count.index]}" }
}

resource "aws_route" "nat" {
  count = length(local.zones)

  route_table_id         = aws_route_table.private[count.index].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[var.nat_per_zone ? count.index : 0].id
}

resource "aws_route_table_association" "private" {
  count = length(local.zones)

  route_table_id = aws_route_table.private[count.index].id
  subnet_id      = aws_subnet.private[count.index].id
}

# Cost nothing, and keep weights and images off the NAT gateway, which is paid by the gigabyte.
resource "aws_vpc_endpoint" "gateway" {
  for_each = local.gateway_endpoints

  vpc_id            = local.vpc_id
  service_name      = "${local.endpoint_prefix}.${local.region}.${each.key}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = local.route_table_ids
  tags              = { Name = "${var.name}-${each.key}" }
}

locals {
  # China's partition says cn. before it, and so are some of its interface endpoints called, but no
  # gateway endpoint.
  endpoint_prefix = trimprefix(data.aws_partition.current.reverse_dns_prefix, "cn.")
}

resource "aws_security_group" "endpoints" {
  count = length(var.interface_endpoints) > 0 ? 1 : 0

  name        = "${var.name}-endpoints"
  description = "HTTPS from the cluster to the endpoints of AWS"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  count = length(var.interface_endpoints) > 0 ? 1 : 0

  security_group_id            = aws_security_group.endpoints[0].id
  description                  = "HTTPS from the cluster"
  referenced_security_group_id = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_endpoint" "interface" {
  for_each = var.interface_endpoints

  vpc_id              = local.vpc_id
  service_name        = strcontains(each.key, ".${local.region}.") ? each.key : "${local.endpoint_prefix}.${local.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = local.subnet_ids
  security_group_ids  = [aws_security_group.endpoints[0].id]
  private_dns_enabled = true
  tags                = { Name = "${var.name}-${each.key}" }
}

# Those of an existing VPC, perhaps beside another cluster's tag.
resource "aws_ec2_tag" "discovery" {
  for_each = local.own_vpc ? toset([]) : toset(var.vpc.subnet_ids)

  resource_id = each.key
  key         = local.discovery
  value       = var.name
}
