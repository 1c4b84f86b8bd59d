# Input topic -> one queue per runtime and priority; output topic -> subscribers.

locals {
  # Longer than the sweeper's second publication (80 % of it) needs; the API is told the same.
  queue_retention_s = 4 * 24 * 3600
  # SQS's longest: for messages that a person has to look at.
  longest_retention_s = 14 * 24 * 3600
  visibility_s        = 120

  # Receives, releases included, before SQS takes a message for poison. A backstop: attempts
  # are counted in the record.
  max_receives = 50

  # queue -> its runtime, and whether it has the jobs that nobody waits for.
  job_queues = merge([
    for runtime in keys(local.runtimes) : {
      (runtime)          = { runtime = runtime, batch = false }
      "${runtime}-batch" = { runtime = runtime, batch = true }
    }
  ]...)

  checkpoints_of = {
    for runtime in keys(local.runtimes) :
    runtime => sort([for file, target in var.checkpoints : file if target == runtime])
  }

  # Each combination of attributes goes to exactly one queue: `runtime` decides where it is
  # there, the checkpoint where it is not, and the last policy takes what no other one does.
  # A message without any attribute matches no filter policy at all: the topic's own metric of
  # those has an alarm (observability.tf).
  priority_rules = {
    interactive = [{ exists = false }, { anything-but = ["batch"] }]
    batch       = ["batch"]
  }
  # SNS multiplies the numbers of values in all arrays of a policy, `$or` among them, and allows
  # 150: four times the checkpoints of a runtime here (variables.tf). What all members of `$or`
  # would have in common therefore stands beside it.
  job_filters = {
    for queue, job in local.job_queues : queue => length(local.checkpoints_of[job.runtime]) == 0 ? jsonencode({
      runtime  = [job.runtime]
      priority = local.priority_rules[job.batch ? "batch" : "interactive"]
      }) : jsonencode({
      priority = local.priority_rules[job.batch ? "batch" : "interactive"]
      "$or" = [
        { runtime = [job.runtime] },
        { runtime = [{ exists = false }], sd_model_checkpoint = local.checkpoints_of[job.runtime] },
      ]
    })
  }
  unrouted_filter = length(var.checkpoints) == 0 ? jsonencode({
    runtime = [{ exists = false }, { anything-but = keys(local.runtimes) }]
    }) : jsonencode({
    "$or" = [
      { runtime = [{ anything-but = keys(local.runtimes) }] },
      {
        runtime             = [{ exists = false }]
        sd_model_checkpoint = [{ exists = false }, { anything-but = keys(var.checkpoints) }]
      },
    ]
  })
}

# One key for topics and queues: SNS and CloudWatch cannot use AWS's own keys.
resource "aws_kms_key" "messaging" {
  description             = "${var.name}: topics and queues"
  enable_key_rotation     = true
  deletion_window_in_days = 7
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AccountByIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "ServicesThatSend"
        Effect    = "Allow"
        Principal = { Service = [for service in ["sns", "cloudwatch", "budgets"] : local.principal[service]] }
        Action    = ["kms:GenerateDataKey*", "kms:Decrypt"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })
}

resource "aws_kms_alias" "messaging" {
  name          = "alias/${var.name}-messaging"
  target_key_id = aws_kms_key.messaging.key_id
}

resource "aws_sns_topic" "jobs" {
  name              = "${var.name}-jobs"
  kms_master_key_id = aws_kms_key.messaging.arn
  tracing_config    = var.tracing ? "Active" : "PassThrough"
}

resource "aws_sns_topic" "notices" {
  name              = "${var.name}-notices"
  kms_master_key_id = aws_kms_key.messaging.arn
  tracing_config    = var.tracing ? "Active" : "PassThrough"
}

resource "aws_sns_topic_policy" "tls_only" {
  for_each = { jobs = aws_sns_topic.jobs.arn, notices = aws_sns_topic.notices.arn }

  arn = each.value
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AccountByIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = ["sns:Publish", "sns:Subscribe", "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic"]
        Resource  = each.value
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "sns:Publish"
        Resource  = each.value
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

locals {
  # Composed, not asked for: a queue's policy can then be made with the queue, which spares a
  # third of the time that all of this takes.
  queue_arns = {
    for queue in concat(keys(local.working_queues), keys(local.last_queues)) :
    queue => "arn:${local.partition}:sqs:${local.region}:${local.account}:${var.name}-${queue}"
  }

  # queue -> where its messages come from, and where those go that nobody can finish.
  working_queues = merge(
    {
      for queue, job in local.job_queues : queue =>
      { from = [aws_sns_topic.jobs.arn], dead_letters = "${job.runtime}-dead-letters" }
    },
    { webhooks = { from = [aws_sns_topic.notices.arn], dead_letters = "undelivered" } },
  )

  # queue -> where its messages come from, and the queues that may move theirs here. These are
  # for the dead-letter worker, and all but the first for a person.
  last_queues = merge(
    {
      for runtime in keys(local.runtimes) : "${runtime}-dead-letters" =>
      { from = [aws_sns_topic.jobs.arn], moved_from = [runtime, "${runtime}-batch"] }
    },
    # Messages that cannot be read.
    { for runtime in keys(local.runtimes) : "${runtime}-parked" => { from = [], moved_from = [] } },
    {
      # What no runtime takes.
      unrouted = { from = [aws_sns_topic.jobs.arn], moved_from = [] }
      # What SNS could not hand over, and webhooks given up.
      undelivered = { from = [aws_sns_topic.jobs.arn, aws_sns_topic.notices.arn], moved_from = ["webhooks"] }
    },
  )

  queue_policies = {
    for queue, described in merge(local.working_queues, local.last_queues) : queue => jsonencode({
      Version = "2012-10-17"
      Statement = concat(
        [{
          Sid       = "TlsOnly"
          Effect    = "Deny"
          Principal = { AWS = "*" }
          Action    = "sqs:*"
          Resource  = local.queue_arns[queue]
          Condition = { Bool = { "aws:SecureTransport" = "false" } }
        }],
        length(described.from) == 0 ? [] : [{
          Sid       = "FromTopics"
          Effect    = "Allow"
          Principal = { Service = local.principal.sns }
          Action    = "sqs:SendMessage"
          Resource  = local.queue_arns[queue]
          Condition = { ArnEquals = { "aws:SourceArn" = described.from } }
        }],
      )
    })
  }
}

resource "aws_sqs_queue" "last" {
  for_each = local.last_queues

  name                      = "${var.name}-${each.key}"
  kms_master_key_id         = aws_kms_key.messaging.arn
  message_retention_seconds = local.longest_retention_s
  policy                    = local.queue_policies[each.key]
  redrive_allow_policy = length(each.value.moved_from) == 0 ? jsonencode({ redrivePermission = "denyAll" }) : jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [for queue in each.value.moved_from : local.queue_arns[queue]]
  })
}

resource "aws_sqs_queue" "working" {
  for_each = local.working_queues

  name                       = "${var.name}-${each.key}"
  kms_master_key_id          = aws_kms_key.messaging.arn
  message_retention_seconds  = local.queue_retention_s
  visibility_timeout_seconds = local.visibility_s
  receive_wait_time_seconds  = 20
  policy                     = local.queue_policies[each.key]
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.last[each.value.dead_letters].arn
    maxReceiveCount     = local.max_receives
  })
}

resource "aws_sns_topic_subscription" "jobs" {
  for_each = local.job_queues

  topic_arn            = aws_sns_topic.jobs.arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.working[each.key].arn
  raw_message_delivery = true
  filter_policy        = local.job_filters[each.key]
  redrive_policy       = jsonencode({ deadLetterTargetArn = aws_sqs_queue.last["${each.value.runtime}-dead-letters"].arn })
}

resource "aws_sns_topic_subscription" "unrouted" {
  topic_arn            = aws_sns_topic.jobs.arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.last["unrouted"].arn
  raw_message_delivery = true
  filter_policy        = local.unrouted_filter
  redrive_policy       = jsonencode({ deadLetterTargetArn = aws_sqs_queue.last["undelivered"].arn })
}

# Only the notices of jobs that asked for a call.
resource "aws_sns_topic_subscription" "webhooks" {
  topic_arn            = aws_sns_topic.notices.arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.working["webhooks"].arn
  raw_message_delivery = true
  filter_policy        = jsonencode({ webhook = ["yes"] })
  redrive_policy       = jsonencode({ deadLetterTargetArn = aws_sqs_queue.last["undelivered"].arn })
}
