# EKS: the control plane, the group of small nodes that is always there, the add-ons.

resource "aws_kms_key" "cluster" {
  description             = "${var.name}: Kubernetes secrets"
  enable_key_rotation     = true
  deletion_window_in_days = 7
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AccountByIam"
      Effect    = "Allow"
      Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
      Action    = "kms:*"
      Resource  = "*"
    }]
  })
}

resource "aws_cloudwatch_log_group" "cluster" {
  name              = "/aws/eks/${var.name}/cluster"
  retention_in_days = var.log_retention_days
}

resource "aws_eks_cluster" "this" {
  name     = var.name
  version  = var.kubernetes_version
  role_arn = aws_iam_role.cluster.arn
  # Audit logs of an idle cluster are gigabytes a month; these two tell who came in.
  enabled_cluster_log_types     = ["api", "authenticator"]
  bootstrap_self_managed_addons = false

  access_config {
    authentication_mode = "API"
    # Somebody has to get in.
    bootstrap_cluster_creator_admin_permissions = length(var.admin_principals) == 0
  }

  # Extended support would cost 365 USD a month more; this upgrades instead.
  upgrade_policy {
    support_type = "STANDARD"
  }

  encryption_config {
    resources = ["secrets"]
    provider {
      key_arn = aws_kms_key.cluster.arn
    }
  }

  vpc_config {
    subnet_ids              = local.subnet_ids
    endpoint_private_access = true
    endpoint_public_access  = length(var.admin_cidrs) > 0
    public_access_cidrs     = length(var.admin_cidrs) > 0 ? var.admin_cidrs : null
  }

  depends_on = [aws_iam_role_policy_attachment.cluster, aws_iam_role_policy.cluster_key, aws_cloudwatch_log_group.cluster]
}

resource "aws_ec2_tag" "cluster_security_group" {
  resource_id = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  key         = local.discovery
  value       = var.name
}

resource "aws_eks_access_entry" "admin" {
  for_each = var.admin_principals

  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.key
}

resource "aws_eks_access_policy_association" "admin" {
  for_each = var.admin_principals

  cluster_name  = aws_eks_cluster.this.name
  principal_arn = aws_eks_access_entry.admin[each.key].principal_arn
  policy_arn    = "arn:${local.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"

  access_scope {
    type = "cluster"
  }
}

resource "aws_launch_template" "system" {
  name                   = "${var.name}-system"
  update_default_version = true

  metadata_options {
    http_tokens = "required"
    # Pods have roles of their own and no business with the node's.
    http_put_response_hop_limit = 1
  }

  # Bottlerocket: the system's own volume, then the one for images and logs.
  dynamic "block_device_mappings" {
    for_each = { "/dev/xvda" = 4, "/dev/xvdb" = 20 }
    content {
      device_name = block_device_mappings.key
      ebs {
        volume_size = block_device_mappings.value
        volume_type = "gp3"
        encrypted   = true
      }
    }
  }

  # The provider's default tags stop at the template; the budget goes by the installation's.
  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume"])
    content {
      resource_type = tag_specifications.key
      tags          = { Name = "${var.name}-system", "darkroom:installation" = var.name }
    }
  }
}

resource "aws_eks_node_group" "system" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "system"
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = local.subnet_ids
  version         = var.kubernetes_version
  ami_type        = var.system_nodes.architecture == "arm64" ? "BOTTLEROCKET_ARM_64" : "BOTTLEROCKET_x86_64"
  instance_types  = [var.system_nodes.instance_type]
  # Operators and the Ray head: a spot notice would take all of them at once.
  capacity_type = "ON_DEMAND"

  # Manifests select this: an idle tick of anything else never starts a node.
  labels = { "darkroom/nodes" = "system" }

  scaling_config {
    min_size     = var.system_nodes.count
    desired_size = var.system_nodes.count
    # One more while a node is replaced.
    max_size = var.system_nodes.count + 1
  }

  update_config {
    max_unavailable = 1
  }

  launch_template {
    id      = aws_launch_template.system.id
    version = aws_launch_template.system.latest_version
  }

  # A node without network and credentials would never get ready.
  depends_on = [aws_iam_role_policy_attachment.node, aws_eks_addon.before_nodes]
}

locals {
  addon_settings = {
    # Off by default: NetworkPolicies would be accepted and have no effect.
    vpc-cni                = { enableNetworkPolicy = "true" }
    eks-pod-identity-agent = {}
    kube-proxy             = {}
    coredns = {
      nodeSelector = { "darkroom/nodes" = "system" }
    }
    aws-mountpoint-s3-csi-driver = {
      node = {
        tolerations = [{ key = "nvidia.com/gpu", operator = "Exists", effect = "NoSchedule" }]
      }
    }
  }
  addons_before_nodes = ["vpc-cni", "eks-pod-identity-agent", "kube-proxy"]
}

resource "aws_eks_addon" "before_nodes" {
  for_each = toset(local.addons_before_nodes)

  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  addon_version               = var.addon_versions[each.key]
  configuration_values        = length(local.addon_settings[each.key]) > 0 ? jsonencode(local.addon_settings[each.key]) : null
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  # The pods of vpc-cni have to find their role when they start.
  depends_on = [aws_eks_pod_identity_association.this]
}

resource "aws_eks_addon" "after_nodes" {
  for_each = toset([for addon in keys(local.addon_settings) : addon if !contains(local.addons_before_nodes, addon)])

  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  addon_version               = var.addon_versions[each.key]
  configuration_values        = jsonencode(local.addon_settings[each.key])
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  depends_on = [aws_eks_node_group.system]
}
