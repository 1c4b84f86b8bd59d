# The load balancer, if `exposure` asks for one: targets are ports of the system nodes, so that no
# controller has to run in the cluster, and Terraform takes away what it has made.

locals {
  exposed  = var.exposure.mode != "none"
  public   = var.exposure.mode == "public"
  with_tls = local.exposed && var.exposure.hostname != null

  # What is exposed -> its port outside, its port on every node, where it says that it is well
  # without a password. Serve has no login and Ray's starts code: neither is ever public.
  ways_in = merge(
    local.exposed ? { ui = { port = local.with_tls ? 443 : 80, node_port = 30080, health = "/" } } : {},
    local.exposed && !local.public ? {
      serve     = { port = 8000, node_port = 30800, health = "/-/healthz" }
      dashboard = { port = 8265, node_port = 30826, health = "/api/gcs_healthz" }
    } : {},
  )

  balancer_subnet_ids = local.public ? (local.own_vpc ? aws_subnet.public[*].id : var.vpc.public_subnet_ids) : local.subnet_ids
  # Where its calls come from: pods let in nobody else.
  balancer_networks = local.own_vpc ? (local.public ? aws_subnet.public : aws_subnet.private)[*].cidr_block : values(data.aws_subnet.balancer)[*].cidr_block

  visitors = length(var.exposure.cidrs) > 0 ? var.exposure.cidrs : local.own_vpc ? [local.vpc_cidr] : data.aws_vpc.given[*].cidr_block
  # With TLS, port 80 only sends on to it.
  doors = local.exposed ? setproduct(distinct(concat(values(local.ways_in)[*].port, local.with_tls ? [80] : [])), local.visitors) : []

  address = local.with_tls ? var.exposure.hostname : one(aws_lb.this[*].dns_name)
  exposure = local.exposed ? {
    mode     = var.exposure.mode
    runtime  = var.exposure.runtime
    networks = local.balancer_networks
    # What -> its port on the nodes, and where people find it.
    node_ports = { for what, way in local.ways_in : what => way.node_port }
    urls = {
      for what, way in local.ways_in :
      what => "${local.with_tls ? "https" : "http"}://${local.address}${contains([80, 443], way.port) ? "" : ":${way.port}"}"
    }
  } : null
}

data "aws_subnet" "balancer" {
  for_each = local.exposed && !local.own_vpc ? toset(local.balancer_subnet_ids) : toset([])

  id = each.key
}

resource "aws_security_group" "balancer" {
  count = local.exposed ? 1 : 0

  name        = "${var.name}-balancer"
  description = "The load balancer: who may come, and where it goes"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "visitors" {
  for_each = { for door in local.doors : "${door[0]}-${door[1]}" => { port = tonumber(door[0]), cidr = door[1] } }

  security_group_id = aws_security_group.balancer[0].id
  description       = "Who may come"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "to_nodes" {
  for_each = local.ways_in

  security_group_id            = aws_security_group.balancer[0].id
  description                  = "To ${each.key}, on the nodes"
  referenced_security_group_id = local.nodes_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value.node_port
  to_port                      = each.value.node_port
}

resource "aws_vpc_security_group_ingress_rule" "from_balancer" {
  for_each = local.ways_in

  security_group_id            = local.nodes_security_group_id
  description                  = "To ${each.key}, from the load balancer"
  referenced_security_group_id = aws_security_group.balancer[0].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.node_port
  to_port                      = each.value.node_port
}

locals {
  nodes_security_group_id = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

resource "aws_lb" "this" {
  count = local.exposed ? 1 : 0

  name                       = var.name
  internal                   = !local.public
  load_balancer_type         = "application"
  subnets                    = local.balancer_subnet_ids
  security_groups            = [aws_security_group.balancer[0].id]
  drop_invalid_header_fields = true
  # A job that finds no GPU waits 900 s for the first byte of Serve's answer.
  idle_timeout = 960

  # A public one is refused where there is no way to the internet, and holds that way while it is there.
  depends_on = [aws_route.internet]
}

resource "aws_lb_target_group" "this" {
  for_each = local.ways_in

  # By its port: the old one goes only when the listener has the new one, so both have a name.
  name        = "${var.name}-${each.value.node_port}"
  vpc_id      = local.vpc_id
  target_type = "instance"
  protocol    = "HTTP"
  port        = each.value.node_port
  # Until a node that goes gets no more: no longer than the page's requests take.
  deregistration_delay = 30

  # Only the node with the pod is well: it moves within 20 s.
  health_check {
    path                = each.value.health
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  lifecycle {
    create_before_destroy = true
  }
}

# New nodes of the group come in by themselves.
resource "aws_autoscaling_attachment" "system" {
  for_each = local.ways_in

  autoscaling_group_name = aws_eks_node_group.system.resources[0].autoscaling_groups[0].name
  lb_target_group_arn    = aws_lb_target_group.this[each.key].arn
}

resource "aws_lb_listener" "this" {
  for_each = local.ways_in

  load_balancer_arn = aws_lb.this[0].arn
  port              = each.value.port
  protocol          = local.with_tls ? "HTTPS" : "HTTP"
  ssl_policy        = local.with_tls ? "ELBSecurityPolicy-TLS13-1-2-2021-06" : null
  certificate_arn   = local.with_tls ? aws_acm_certificate_validation.this[0].certificate_arn : null

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[each.key].arn
  }
}

resource "aws_lb_listener" "to_tls" {
  count = local.with_tls ? 1 : 0

  load_balancer_arn = aws_lb.this[0].arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"
    redirect {
      protocol    = "HTTPS"
      port        = "443"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_acm_certificate" "this" {
  count = local.with_tls ? 1 : 0

  domain_name       = var.exposure.hostname
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  # Of its only name. It stays for the renewals.
  validation = one([for made in aws_acm_certificate.this : tolist(made.domain_validation_options)[0]])
}

resource "aws_route53_record" "validation" {
  count = local.with_tls ? 1 : 0

  zone_id = var.exposure.zone_id
  name    = local.validation.resource_record_name
  type    = local.validation.resource_record_type
  records = [local.validation.resource_record_value]
  ttl     = 300
  # The same for every certificate of a name: a later one finds it.
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "this" {
  count = local.with_tls ? 1 : 0

  certificate_arn         = aws_acm_certificate.this[0].arn
  validation_record_fqdns = [aws_route53_record.validation[0].fqdn]

  timeouts {
    # Minutes where the zone is the one that the world asks; never where it is not.
    create = "20m"
  }
}

resource "aws_route53_record" "alias" {
  count = local.with_tls ? 1 : 0

  zone_id = var.exposure.zone_id
  name    = var.exposure.hostname
  type    = "A"

  alias {
    name                   = aws_lb.this[0].dns_name
    zone_id                = aws_lb.this[0].zone_id
    evaluate_target_health = false
  }
}
