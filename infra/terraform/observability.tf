# Alarms, the dashboard, traces.

resource "aws_cloudwatch_log_group" "pods" {
  name              = "/darkroom/${var.name}/pods"
  retention_in_days = var.log_retention_days
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = aws_kms_key.messaging.arn
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AlarmsAndBudget"
        Effect    = "Allow"
        Principal = { Service = [local.principal.cloudwatch, local.principal.budgets] }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "alarms" {
  count = var.alarms.email == null ? 0 : 1

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarms.email
}

locals {
  # alarm -> one metric of one queue or topic. All: a missing figure is no breach, because SQS
  # sends none for a queue that was idle for six hours.
  metric_alarms = merge(
    {
      for queue in keys(local.job_queues) : "${queue}-oldest-message" => {
        why = "Jobs of ${queue} wait for more than half an hour: is a GPU to be had, does Serve come up?"
        # Invisible messages count too: a long job is no reason, half an hour is.
        namespace  = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", statistic = "Maximum"
        dimensions = { QueueName = "${var.name}-${queue}" }
        # Batch jobs may wait for a night.
        threshold = endswith(queue, "-batch") ? 12 * 3600 : 1800
        periods   = 3
      }
    },
    {
      for queue in flatten([
        for runtime in keys(local.runtimes) : ["${runtime}-dead-letters", "${runtime}-parked"]
        ]) : queue => {
        why        = "${queue} has messages: each one is a job that did not end as it should."
        namespace  = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum"
        dimensions = { QueueName = "${var.name}-${queue}" }
        threshold  = 0
        periods    = 1
      }
    },
    {
      for queue in ["unrouted", "undelivered"] : queue => {
        why        = "${queue} has messages: nobody works on them."
        namespace  = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum"
        dimensions = { QueueName = "${var.name}-${queue}" }
        threshold  = 0
        periods    = 1
      }
    },
    {
      without-attributes = {
        # No filter policy matches such a message, not even the catch-all's.
        why        = "A message without attributes came to the input topic and was lost: its sender must name a runtime."
        namespace  = "AWS/SNS", metric = "NumberOfNotificationsFilteredOut-NoMessageAttributes", statistic = "Sum"
        dimensions = { TopicName = aws_sns_topic.jobs.name }
        threshold  = 0
        periods    = 1
      }
    },
  )
  alarm_period_s = 300
  # EC2's quota of vCPUs for G and VT instances on demand; new accounts have none at all.
  gpu_usage_share = 0.8
}

resource "aws_cloudwatch_metric_alarm" "metric" {
  for_each = local.metric_alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.why
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = local.alarm_period_s
  evaluation_periods  = each.value.periods
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# Messages are there and none is deleted: everything may look alive and nothing gets done.
resource "aws_cloudwatch_metric_alarm" "stuck" {
  for_each = local.job_queues

  alarm_name          = "${var.name}-${each.key}-stuck"
  alarm_description   = "${each.key} has messages, and for an hour none was deleted."
  evaluation_periods  = 12
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "stuck"
    label       = "messages while none is deleted"
    expression  = "IF(FILL(deleted, 0) == 0, visible + hidden, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = {
      visible = { metric = "ApproximateNumberOfMessagesVisible", statistic = "Minimum" }
      hidden  = { metric = "ApproximateNumberOfMessagesNotVisible", statistic = "Minimum" }
      deleted = { metric = "NumberOfMessagesDeleted", statistic = "Sum" }
    }
    content {
      id = metric_query.key
      metric {
        namespace   = "AWS/SQS"
        metric_name = metric_query.value.metric
        dimensions  = { QueueName = "${var.name}-${each.key}" }
        period      = local.alarm_period_s
        stat        = metric_query.value.statistic
      }
    }
  }
}

# Beyond the quota no GPU comes, whatever Karpenter asks for.
resource "aws_cloudwatch_metric_alarm" "gpu_quota" {
  for_each = { on-demand = "G/OnDemand", spot = "G/Spot" }

  alarm_name          = "${var.name}-gpu-quota-${each.key}"
  alarm_description   = "vCPUs of G and VT instances (${each.key}) are near the account's quota: ask for more."
  evaluation_periods  = 1
  threshold           = local.gpu_usage_share
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "share"
    label       = "share of the quota"
    expression  = "usage / SERVICE_QUOTA(usage)"
    return_data = true
  }

  metric_query {
    id = "usage"
    metric {
      namespace   = "AWS/Usage"
      metric_name = "ResourceCount"
      dimensions = {
        Class    = each.value
        Resource = "vCPU"
        Service  = "EC2"
        Type     = "Resource"
      }
      period = local.alarm_period_s
      stat   = "Maximum"
    }
  }
}

# Counts what carries our tag, once the tag is activated for cost allocation in the account.
resource "aws_budgets_budget" "monthly" {
  count = var.alarms.monthly_budget_usd == null ? 0 : 1

  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.alarms.monthly_budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  cost_filter {
    name = "TagKeyValue"
    # Key and value with a dollar between them, which before a brace would not be one.
    values = [format("user:darkroom:installation$%s", var.name)]
  }

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }
    content {
      notification_type         = notification.key
      comparison_operator       = "GREATER_THAN"
      threshold                 = notification.value
      threshold_type            = "PERCENTAGE"
      subscriber_sns_topic_arns = [aws_sns_topic.alarms.arn]
    }
  }
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [
      for number, widget in [
        {
          title   = "Jobs that wait"
          metrics = [for queue in keys(local.job_queues) : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "${var.name}-${queue}"]]
          stat    = "Maximum"
        },
        {
          title   = "Age of the oldest job, s"
          metrics = [for queue in keys(local.job_queues) : ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "${var.name}-${queue}"]]
          stat    = "Maximum"
        },
        {
          title   = "Jobs done"
          metrics = [for queue in keys(local.job_queues) : ["AWS/SQS", "NumberOfMessagesDeleted", "QueueName", "${var.name}-${queue}"]]
          stat    = "Sum"
        },
        {
          title = "For a person"
          metrics = [
            for queue in concat(flatten([for runtime in keys(local.runtimes) : ["${runtime}-dead-letters", "${runtime}-parked"]]), ["unrouted", "undelivered"]) :
            ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "${var.name}-${queue}"]
          ]
          stat = "Maximum"
        },
        {
          title   = "API: requests and errors"
          metrics = [for metric in ["Count", "4XXError", "5XXError"] : ["AWS/ApiGateway", metric, "ApiName", var.name, "Stage", var.stage]]
          stat    = "Sum"
        },
        {
          title   = "API: ms, 95 of 100 requests"
          metrics = [["AWS/ApiGateway", "Latency", "ApiName", var.name, "Stage", var.stage]]
          stat    = "p95"
        },
        ] : {
        type       = "metric"
        x          = (number % 2) * 12
        y          = floor(number / 2) * 6
        width      = 12
        height     = 6
        properties = { title = widget.title, metrics = widget.metrics, stat = widget.stat, period = local.alarm_period_s, region = local.region }
      }
    ]
  })
}

# Topics hand on a trace only if X-Ray takes it from them.
resource "aws_xray_resource_policy" "topics" {
  count = var.tracing ? 1 : 0

  policy_name = var.name
  policy_document = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = local.principal.sns }
      Action    = ["xray:PutTraceSegments", "xray:GetSamplingRules", "xray:GetSamplingTargets"]
      Resource  = "*"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = [aws_sns_topic.jobs.arn, aws_sns_topic.notices.arn] }
      }
    }]
  })
}

resource "aws_xray_group" "this" {
  count = var.tracing ? 1 : 0

  group_name        = var.name
  filter_expression = "annotation.installation = \"${var.name}\" OR service(\"${var.name}-api\")"
}

resource "aws_xray_sampling_rule" "this" {
  count = var.tracing ? 1 : 0

  rule_name = var.name
  priority  = 1000
  version   = 1
  # One a second and 5 of 100 beyond: a burst of thousands must not cost more than its images.
  reservoir_size = 1
  fixed_rate     = 0.05
  service_name   = "${var.name}*"
  service_type   = "*"
  host           = "*"
  http_method    = "*"
  url_path       = "*"
  resource_arn   = "*"
}
