# Buckets, tables, secrets, container images.

locals {
  # The local stack makes its tables from the same file.
  tables = jsondecode(file("${path.module}/../../records/tables.json"))

  buckets = merge(
    { outputs = "Images, and jobs too large for a record or a message." },
    var.models_bucket == null ? { models = "Weights: put there once, read by every replica." } : {},
  )
  models_bucket = try(aws_s3_bucket.this["models"].id, var.models_bucket)
}

resource "aws_s3_bucket" "this" {
  for_each = local.buckets

  bucket        = "${var.name}-${each.key}-${local.account}-${local.region}"
  force_destroy = var.disposable
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = local.buckets

  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

# S3's own keys: a key of ours would add a call to KMS for every image, and keep nobody out whom
# the bucket's policy lets in.
resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_policy" "tls_only" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = { AWS = "*" }
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.this[each.key].arn, "${aws_s3_bucket.this[each.key].arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # Both change what the bucket lets in; S3 refuses to do that twice at once.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

# A model that was overwritten by mistake can be had back.
resource "aws_s3_bucket_versioning" "models" {
  for_each = { for name, bucket in aws_s3_bucket.this : name => bucket if name == "models" }

  bucket = each.value.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    id     = "stray-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  dynamic "rule" {
    for_each = each.key == "models" ? [1] : []
    content {
      id     = "replaced-models"
      status = "Enabled"
      filter {}
      noncurrent_version_expiration {
        noncurrent_days = 30
      }
    }
  }

  # What an attempt uploaded that did not win has no record's name: it goes with this rule too.
  dynamic "rule" {
    for_each = each.key == "outputs" ? [1] : []
    content {
      id     = "outputs"
      status = "Enabled"
      filter {}
      expiration {
        days = var.output_retention_days
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.models]
}

resource "aws_dynamodb_table" "this" {
  for_each = local.tables

  name                        = "${var.name}-${each.key}"
  billing_mode                = each.value.BillingMode
  hash_key                    = one([for key in each.value.KeySchema : key.AttributeName if key.KeyType == "HASH"])
  range_key                   = one([for key in each.value.KeySchema : key.AttributeName if key.KeyType == "RANGE"])
  deletion_protection_enabled = !var.disposable

  dynamic "attribute" {
    for_each = each.value.AttributeDefinitions
    content {
      name = attribute.value.AttributeName
      type = attribute.value.AttributeType
    }
  }

  dynamic "global_secondary_index" {
    for_each = try(each.value.GlobalSecondaryIndexes, [])
    content {
      name            = global_secondary_index.value.IndexName
      hash_key        = one([for key in global_secondary_index.value.KeySchema : key.AttributeName if key.KeyType == "HASH"])
      range_key       = one([for key in global_secondary_index.value.KeySchema : key.AttributeName if key.KeyType == "RANGE"])
      projection_type = global_secondary_index.value.Projection.ProjectionType
    }
  }

  dynamic "ttl" {
    for_each = try([each.value.TimeToLive], [])
    content {
      attribute_name = ttl.value.AttributeName
      enabled        = ttl.value.Enabled
    }
  }

  point_in_time_recovery {
    enabled = true
  }
}

locals {
  secrets = merge(
    {
      "ray-token"       = "Opens Ray's dashboard and everything else that can start code."
      "webhook-signing" = "Signs what we post to others."
      "first-key"       = "API key of the tenant `default`; keys of others are in the key table, as hashes."
    },
    local.exposed ? { "ui-password" = "Opens the page." } : {},
  )
}

resource "aws_secretsmanager_secret" "this" {
  for_each = local.secrets

  name        = "${var.name}/${each.key}"
  description = each.value
  # Days in which a deletion can be taken back. The page's password goes and comes with `exposure`,
  # and its name must be free then.
  recovery_window_in_days = var.disposable || each.key == "ui-password" ? 0 : 7
}

resource "aws_ecr_repository" "this" {
  for_each = toset(["bridge", "serve", "ui"])

  name                 = "${var.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.disposable

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  for_each = aws_ecr_repository.this

  repository = each.value.name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "What is or was deployed stays: a rule that matches it keeps it from all rules below."
        selection = {
          tagStatus     = "tagged"
          tagPrefixList = ["deployed"]
          countType     = "imageCountMoreThan"
          countNumber   = 100000
        }
        action = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Layers of builds that were overtaken."
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 3
        description  = "Builds that were never deployed."
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 20 }
        action       = { type = "expire" }
      },
    ]
  })
}
