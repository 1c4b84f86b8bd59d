# API Gateway, the API and its authorizer.

locals {
  # Beside the handlers' own code; what each of them may do is in identity.tf.
  functions = {
    api = {
      handler = "api.lambda_handler.handler"
      # API Gateway waits 29 s; a little less, so that the function's own log tells of it.
      timeout_s = 28
      memory_mb = 1024
      environment = merge(local.shared_config, {
        DARKROOM_RUNTIMES = "runtimes.yaml"
        DARKROOM_LOG      = "json"
      })
    }
    authorizer = {
      handler   = "api.authorizer_handler.handler"
      timeout_s = 5
      memory_mb = 256
      environment = {
        DARKROOM_KEY_TABLE        = aws_dynamodb_table.this["keys"].name
        DARKROOM_FIRST_KEY_SECRET = aws_secretsmanager_secret.this["first-key"].arn
        DARKROOM_USAGE_PREFIX     = local.usage_prefix
      }
    }
  }

  # An API key's value has 20 characters at least.
  usage_prefix = "${var.name}-usage-of-the-tier-"

  openapi = templatefile("${path.module}/openapi.json", {
    title                  = var.name
    api_invoke_arn         = aws_lambda_function.this["api"].invoke_arn
    authorizer_invoke_arn  = aws_lambda_function.this["authorizer"].invoke_arn
    authorizer_credentials = aws_iam_role.apigateway_authorizer.arn
  })
}

resource "aws_cloudwatch_log_group" "function" {
  for_each = local.functions

  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
}

# Outside the VPC: it needs no route into it, and starts faster. No reserved concurrency: an
# account's limit may be lower than what would be left of it.
resource "aws_lambda_function" "this" {
  for_each = local.functions

  function_name    = "${var.name}-${each.key}"
  role             = aws_iam_role.this[each.key].arn
  filename         = var.lambda_package.zip
  source_code_hash = filebase64sha256(var.lambda_package.zip)
  handler          = each.value.handler
  runtime          = "python${var.lambda_package.python}"
  architectures    = [var.lambda_package.architecture]
  timeout          = each.value.timeout_s
  memory_size      = each.value.memory_mb

  environment {
    variables = each.value.environment
  }

  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.this]
}

resource "aws_lambda_permission" "apigateway" {
  statement_id  = "ApiGateway"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this["api"].function_name
  principal     = local.principal.apigateway
  source_arn    = "${aws_api_gateway_rest_api.this.execution_arn}/*/*"
}

# Every method is in the body, which a test holds equal to the app.
resource "aws_api_gateway_rest_api" "this" {
  name                         = var.name
  body                         = local.openapi
  api_key_source               = "AUTHORIZER"
  put_rest_api_mode            = "overwrite"
  disable_execute_api_endpoint = false

  endpoint_configuration {
    types = ["REGIONAL"]
  }

  lifecycle {
    create_before_destroy = true
  }
}

# What API Gateway refuses by itself is answered as the app answers, with the limit named.
resource "aws_api_gateway_gateway_response" "refusals" {
  for_each = {
    REQUEST_TOO_LARGE   = { status = 413, code = "too_large", detail = "API Gateway takes 10 MB; give larger images by reference" }
    INTEGRATION_TIMEOUT = { status = 504, code = "timeout", detail = "no answer within 29 s; the job may have been accepted: ask for it by its id" }
    # Lambda refuses more than 6 MB, in either direction, before any code of ours runs.
    INTEGRATION_FAILURE = { status = 502, code = "bad_gateway", detail = "the API could not take the request; a body may have 5.5 MB, give larger images by reference" }
    ACCESS_DENIED       = { status = 403, code = "forbidden", detail = "send your key as x-api-key or Authorization: Bearer" }
    UNAUTHORIZED        = { status = 403, code = "forbidden", detail = "send your key as x-api-key or Authorization: Bearer" }
    AUTHORIZER_FAILURE  = { status = 503, code = "unavailable", detail = "try again shortly" }
    THROTTLED           = { status = 429, code = "throttled", detail = "too many requests; try again shortly" }
    QUOTA_EXCEEDED      = { status = 429, code = "quota_exceeded", detail = "this key's requests for today are used up" }
  }

  rest_api_id   = aws_api_gateway_rest_api.this.id
  response_type = each.key
  status_code   = each.value.status
  # To write a body anew removes what is not in it, these too. So each change of the body is one of
  # theirs as well, and they are there again when it is deployed.
  response_parameters = {
    "gatewayresponse.header.x-api-revision" = "'${substr(sha256(local.openapi), 0, 12)}'"
  }
  response_templates = {
    "application/json" = jsonencode({
      type   = "urn:darkroom:problem:${each.value.code}"
      title  = replace(each.value.code, "_", " ")
      status = each.value.status
      detail = each.value.detail
      code   = each.value.code
    })
  }
}

resource "aws_api_gateway_deployment" "this" {
  rest_api_id = aws_api_gateway_rest_api.this.id

  # A deployment is a copy: without a new one a changed body would change nothing.
  triggers = {
    body       = sha256(local.openapi)
    refusals   = sha256(jsonencode([for refusal in aws_api_gateway_gateway_response.refusals : [refusal.status_code, refusal.response_templates, refusal.response_parameters]]))
    key_source = aws_api_gateway_rest_api.this.api_key_source
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "access" {
  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_api_gateway_stage" "this" {
  rest_api_id          = aws_api_gateway_rest_api.this.id
  deployment_id        = aws_api_gateway_deployment.this.id
  stage_name           = var.stage
  xray_tracing_enabled = var.tracing

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    # Neither headers nor the key: a log is read by more people than a key is meant for.
    format = jsonencode({
      request = "$context.requestId"
      at      = "$context.requestTimeEpoch"
      method  = "$context.httpMethod"
      path    = "$context.path"
      status  = "$context.status"
      ms      = "$context.responseLatency"
      bytes   = "$context.responseLength"
      tenant  = "$context.authorizer.tenant"
      error   = "$context.error.responseType"
      trace   = "$context.xrayTraceId"
    })
  }

  depends_on = [aws_api_gateway_account.this]
}

resource "aws_api_gateway_method_settings" "all" {
  rest_api_id = aws_api_gateway_rest_api.this.id
  stage_name  = aws_api_gateway_stage.this.stage_name
  method_path = "*/*"

  settings {
    metrics_enabled = true
    # OFF: execution logs would hold headers, keys among them.
    logging_level          = "OFF"
    data_trace_enabled     = false
    throttling_rate_limit  = 1000
    throttling_burst_limit = 2000
  }
}

# One for the whole region: it lets API Gateway write logs at all. Not reset on removal: it may be
# another installation's by then, whose next apply sets its own otherwise.
resource "aws_api_gateway_account" "this" {
  cloudwatch_role_arn = aws_iam_role.apigateway_logs.arn
}

resource "aws_api_gateway_usage_plan" "tier" {
  for_each = var.tiers

  name = "${var.name}-${each.key}"

  api_stages {
    api_id = aws_api_gateway_rest_api.this.id
    stage  = aws_api_gateway_stage.this.stage_name
  }

  throttle_settings {
    rate_limit  = each.value.rate
    burst_limit = each.value.burst
  }

  dynamic "quota_settings" {
    for_each = each.value.requests_a_day == null ? [] : [each.value.requests_a_day]
    content {
      limit  = quota_settings.value
      period = "DAY"
    }
  }
}

# Not a secret: it opens nothing. The authorizer names it for a request whose key it has checked,
# and API Gateway counts that request under the tier's usage plan.
resource "aws_api_gateway_api_key" "tier" {
  for_each = var.tiers

  name  = "${var.name}-${each.key}"
  value = "${local.usage_prefix}${each.key}"
}

resource "aws_api_gateway_usage_plan_key" "tier" {
  for_each = var.tiers

  key_id        = aws_api_gateway_api_key.tier[each.key].id
  key_type      = "API_KEY"
  usage_plan_id = aws_api_gateway_usage_plan.tier[each.key].id
}
