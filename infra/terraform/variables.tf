variable "name" {
  description = "Name of this installation; everything in the account is called after it."
  type        = string
  nullable    = false

  validation {
    # S3 has 63 characters for a bucket: this, a word, the account and the region.
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "3 to 24 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
  nullable    = false
  default     = "us-west-2"

  validation {
    condition     = can(regex("^[a-z]{2,4}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region's name, such as us-west-2."
  }
}

variable "tags" {
  description = "Tags of everything that can have some."
  type        = map(string)
  nullable    = false
  default     = {}

  validation {
    condition     = !anytrue([for key in keys(var.tags) : startswith(key, "aws:")])
    error_message = "Tags that begin with aws: are AWS's own."
  }
}

variable "runtimes_file" {
  description = "The runtimes.yaml that API, bridge and Serve read; each runtime gets its queues."
  type        = string
  nullable    = false
  default     = "../../runtimes.yaml"

  validation {
    # A role's policy may have 10,240 characters, and the dead-letter worker's names four queues of each.
    condition     = try(length(yamldecode(file(var.runtimes_file)).runtimes), 0) >= 1 && try(length(yamldecode(file(var.runtimes_file)).runtimes), 99) <= 20
    error_message = "A YAML file with 1 to 20 entries under `runtimes`."
  }

  validation {
    condition     = alltrue([for runtime in try(keys(yamldecode(file(var.runtimes_file)).runtimes), []) : can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", runtime))])
    error_message = "A runtime's name becomes part of queue names: at most 32 lower-case letters, digits and hyphens."
  }

  validation {
    condition     = !anytrue([for runtime in try(keys(yamldecode(file(var.runtimes_file)).runtimes), []) : can(regex("(-batch|-dead-letters|-parked)$|^(unrouted|undelivered|webhooks|interruptions)$", runtime))])
    error_message = "No runtime is called as one of our other queues."
  }
}

variable "checkpoints" {
  description = "Checkpoint file -> runtime: routes messages that name only `sd_model_checkpoint`."
  type        = map(string)
  nullable    = false
  default     = {}

  validation {
    condition     = alltrue([for runtime in values(var.checkpoints) : contains(try(keys(yamldecode(file(var.runtimes_file)).runtimes), []), runtime)])
    error_message = "Each checkpoint belongs to a runtime of runtimes_file."
  }

  validation {
    condition     = alltrue([for runtime in values(var.checkpoints) : length([for other in values(var.checkpoints) : other if other == runtime]) <= 37])
    error_message = "At most 37 for one runtime: SNS allows 150 combinations of values in a filter policy."
  }
}

variable "lambda_package" {
  description = "The zip of `make lambda`, and what it was built for."
  type = object({
    zip          = optional(string, "../../build/lambda-arm64-python3.13.zip")
    architecture = optional(string, "arm64")
    python       = optional(string, "3.13")
  })
  nullable = false
  default  = {}

  validation {
    condition     = contains(["arm64", "x86_64"], var.lambda_package.architecture)
    error_message = "architecture is arm64 or x86_64."
  }

  validation {
    condition     = contains(["3.11", "3.12", "3.13"], var.lambda_package.python)
    error_message = "python is 3.11, 3.12 or 3.13: what Lambda runs and the provider knows."
  }
}

variable "stage" {
  description = "Stage of the REST API; the first part of its paths."
  type        = string
  nullable    = false
  default     = "v"

  validation {
    condition     = can(regex("^[a-zA-Z0-9_]{1,32}$", var.stage))
    error_message = "1 to 32 letters, digits and underscores."
  }
}

variable "tiers" {
  description = "Usage plans: requests a second, burst, and requests a day (null: no limit), for all keys of the tier together."
  type = map(object({
    rate           = number
    burst          = number
    requests_a_day = optional(number)
  }))
  nullable = false
  default  = { standard = { rate = 30, burst = 50 } }

  validation {
    condition     = contains(keys(var.tiers), "standard")
    error_message = "One tier is called standard: the first key belongs to it."
  }

  validation {
    condition     = alltrue([for tier in values(var.tiers) : tier.rate > 0 && tier.burst >= tier.rate])
    error_message = "rate is above 0, and burst at least rate."
  }
}

variable "output_retention_days" {
  description = "Days until an image is deleted."
  type        = number
  nullable    = false
  default     = 30

  validation {
    condition     = var.output_retention_days >= 1 && floor(var.output_retention_days) == var.output_retention_days
    error_message = "A whole number of days, at least 1."
  }
}

variable "log_retention_days" {
  description = "Days until a log line is deleted."
  type        = number
  nullable    = false
  default     = 14

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "One of the periods that CloudWatch Logs offers."
  }
}

variable "disposable" {
  description = "Whether `terraform destroy` may delete images, records and container images."
  type        = bool
  nullable    = false
  default     = false
}

variable "vpc" {
  description = "An existing VPC to use; null makes one. Its subnets need a way to the internet."
  type = object({
    id              = string
    subnet_ids      = list(string)
    route_table_ids = optional(list(string), [])
    # Of the load balancer, if that is public.
    public_subnet_ids = optional(list(string), [])
    # Those to make. A route table takes one of each: leave out what others have put there.
    gateway_endpoints = optional(set(string), ["s3", "dynamodb"])
    # Whether services of AWS have addresses in it, by interface endpoints.
    private_services = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.vpc == null || try(startswith(var.vpc.id, "vpc-") && length(distinct(var.vpc.subnet_ids)) >= 2, false)
    error_message = "A VPC's id and at least two of its subnets: EKS wants two zones."
  }
}

variable "models_bucket" {
  description = "An existing bucket of models to use; null makes one."
  type        = string
  default     = null

  validation {
    condition     = var.models_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.models_bucket))
    error_message = "The name of a bucket, without s3://."
  }
}

variable "nat_per_zone" {
  description = "Whether each zone has a NAT gateway of its own; one serves all otherwise."
  type        = bool
  nullable    = false
  default     = false
}

variable "interface_endpoints" {
  description = "AWS services to reach without the NAT gateway, such as sqs, or whole names with the region in them, where China calls one otherwise; each costs about 7 USD a month and zone."
  type        = set(string)
  nullable    = false
  default     = []

  validation {
    condition     = alltrue([for service in var.interface_endpoints : can(regex("^[a-z0-9.-]+$", service)) && !contains(["s3", "dynamodb"], service)])
    error_message = "Names of services; s3 and dynamodb have gateway endpoints anyway, which cost nothing."
  }
}

variable "kubernetes_version" {
  description = "Kubernetes version of the cluster; one in EKS's standard support."
  type        = string
  nullable    = false
  default     = "1.35"

  validation {
    condition     = can(regex("^1\\.(3[4-9])$", var.kubernetes_version))
    error_message = "1.34 to 1.39."
  }
}

variable "addon_versions" {
  description = "Pinned versions of the EKS add-ons; `aws eks describe-addon-versions --kubernetes-version` lists what there is."
  type        = map(string)
  nullable    = false
  default = {
    vpc-cni                      = "v1.22.4-eksbuild.3"
    coredns                      = "v1.13.2-eksbuild.21"
    kube-proxy                   = "v1.35.3-eksbuild.21"
    eks-pod-identity-agent       = "v1.3.10-eksbuild.2"
    aws-mountpoint-s3-csi-driver = "v2.7.0-eksbuild.1"
  }

  validation {
    condition     = toset(keys(var.addon_versions)) == toset(["vpc-cni", "coredns", "kube-proxy", "eks-pod-identity-agent", "aws-mountpoint-s3-csi-driver"])
    error_message = "One version for each of the five add-ons."
  }

  validation {
    condition     = alltrue([for version in values(var.addon_versions) : can(regex("^v[0-9.]+-eksbuild\\.[0-9]+$", version))])
    error_message = "Versions look like v1.22.4-eksbuild.3."
  }
}

variable "admin_cidrs" {
  description = "Networks that reach the cluster's public endpoint; none: it has no public endpoint."
  type        = list(string)
  nullable    = false
  default     = []

  validation {
    condition     = alltrue([for cidr in var.admin_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "CIDR blocks, and not the whole internet."
  }
}

variable "admin_principals" {
  description = "IAM principals (ARNs) that administer the cluster; none: whoever makes it."
  type        = set(string)
  nullable    = false
  default     = []

  validation {
    condition     = alltrue([for arn in var.admin_principals : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/", arn))])
    error_message = "ARNs of IAM roles or users."
  }
}

variable "permissions_boundary" {
  description = "IAM policy (ARN) that bounds what our roles may ever do; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/", var.permissions_boundary))
    error_message = "The ARN of an IAM policy."
  }
}

variable "system_nodes" {
  description = "The node group for everything that is never a GPU's work."
  type = object({
    instance_type = optional(string, "t4g.large")
    architecture  = optional(string, "arm64")
    count         = optional(number, 1)
  })
  nullable = false
  default  = {}

  validation {
    condition     = contains(["arm64", "x86_64"], var.system_nodes.architecture) && var.system_nodes.count >= 1 && var.system_nodes.count <= 10
    error_message = "architecture is arm64 or x86_64; 1 to 10 nodes."
  }
}

variable "tracing" {
  description = "Whether requests are traced with X-Ray."
  type        = bool
  nullable    = false
  default     = true
}

variable "alarms" {
  description = "Who is told of alarms (null: nobody by mail, the topic is there for others), and costs a month in USD beyond which one is raised (null: no budget)."
  type = object({
    email              = optional(string)
    monthly_budget_usd = optional(number)
  })
  nullable = false
  default  = {}

  validation {
    condition     = var.alarms.email == null || can(regex("^[^@\\s]+@[^@\\s]+$", var.alarms.email))
    error_message = "email is a mail address."
  }

  validation {
    condition     = var.alarms.monthly_budget_usd == null || try(var.alarms.monthly_budget_usd > 0, false)
    error_message = "monthly_budget_usd is an amount above 0."
  }
}

variable "exposure" {
  description = "A load balancer before the cluster: none; internal, for page, dashboard and Serve of `runtime` within the VPC; public, for the page alone. With a hostname in a public Route 53 zone it speaks HTTPS."
  type = object({
    mode     = optional(string, "none")
    hostname = optional(string)
    zone_id  = optional(string)
    cidrs    = optional(list(string), [])
    runtime  = optional(string)
  })
  nullable = false
  default  = {}

  validation {
    condition     = contains(["none", "internal", "public"], var.exposure.mode)
    error_message = "mode is none, internal or public."
  }

  validation {
    condition     = var.exposure.mode != "none" || (var.exposure.hostname == null && var.exposure.zone_id == null && length(var.exposure.cidrs) == 0)
    error_message = "Without a load balancer there is nothing for hostname, zone_id and cidrs."
  }

  validation {
    condition     = (var.exposure.hostname == null) == (var.exposure.zone_id == null)
    error_message = "hostname and zone_id belong together: the zone proves whose the name is."
  }

  validation {
    condition     = var.exposure.hostname == null || can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.exposure.hostname))
    error_message = "hostname is a full name in lower case, such as darkroom.example.org."
  }

  validation {
    condition     = var.exposure.zone_id == null || can(regex("^[A-Z0-9]{2,32}$", var.exposure.zone_id))
    error_message = "zone_id is a hosted zone's, such as Z0123456789ABCDEFGHIJ."
  }

  validation {
    condition     = var.exposure.mode != "public" || (var.exposure.hostname != null && length(var.exposure.cidrs) > 0)
    error_message = "public wants hostname and zone_id, for a certificate, and cidrs: who may come."
  }

  validation {
    # Four ports for each: a security group has 60 rules.
    condition     = length(var.exposure.cidrs) <= 15 && alltrue([for cidr in var.exposure.cidrs : can(cidrnetmask(cidr)) && try(cidrsubnet(cidr, 0, 0) == cidr, false)])
    error_message = "cidrs are at most 15 IPv4 networks, such as 192.0.2.0/24."
  }

  validation {
    condition     = var.exposure.hostname != null || !anytrue([for cidr in var.exposure.cidrs : endswith(cidr, "/0")])
    error_message = "The whole internet only with a hostname: passwords would go over plain HTTP."
  }

  validation {
    condition     = var.exposure.mode != "public" || var.vpc == null || try(length(var.vpc.public_subnet_ids) >= 2, false)
    error_message = "public in an existing VPC wants two of its public subnets: vpc.public_subnet_ids."
  }

  validation {
    condition     = var.exposure.mode != "internal" || try(contains(keys(yamldecode(file(var.runtimes_file)).runtimes), var.exposure.runtime), false)
    error_message = "internal wants a runtime of runtimes_file: whose Serve and dashboard are shown."
  }
}

variable "input_buckets" {
  description = "Buckets from which any job may take its pictures (`s3://bucket/key`); a tenant's own outputs are always open to it."
  type        = list(string)
  nullable    = false
  default     = []

  validation {
    condition     = alltrue([for bucket in var.input_buckets : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", bucket))])
    error_message = "Names of buckets, without s3:// and without a path."
  }
}
