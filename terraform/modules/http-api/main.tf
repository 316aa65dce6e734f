locals {
  # One line of JSON for each request. Only what the gateway itself determines, and the path: a text
  # that the caller chooses freely, such as its user agent, could break out of its quotes.
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
  access_log_format = {
    request_id          = "$context.requestId"
    time                = "$context.requestTime"
    source_ip           = "$context.identity.sourceIp"
    caller              = "$context.identity.userArn"
    method              = "$context.httpMethod"
    path                = "$context.path"
    route               = "$context.routeKey"
    protocol            = "$context.protocol"
    status              = "$context.status"
    response_bytes      = "$context.responseLength"
    latency_ms          = "$context.responseLatency"
    integration_ms      = "$context.integrationLatency"
    integration_status  = "$context.integration.status"
    function_request_id = "$context.integration.requestId"
    error               = "$context.error.responseType"
  }
}

resource "aws_cloudwatch_log_group" "access" {
  #checkov:skip=CKV_AWS_158: CloudWatch Logs encrypts every group; kms_key_arn makes it a key of one's own
  # Groups under /aws/vendedlogs/ share one entry of the account's resource policy for log delivery,
  # whose length is limited.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
  name              = "/aws/vendedlogs/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_apigatewayv2_api" "this" {
  name          = var.name
  description   = "Calls ${var.function.function_name}:${var.function.alias}"
  protocol_type = "HTTP"
  tags          = var.tags
}

resource "aws_apigatewayv2_integration" "function" {
  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "AWS_PROXY"
  integration_method     = "POST"
  integration_uri        = var.invoke_arn
  payload_format_version = "2.0"
  timeout_milliseconds   = var.timeout_milliseconds
}

resource "aws_apigatewayv2_route" "this" {
  for_each = var.routes

  api_id             = aws_apigatewayv2_api.this.id
  route_key          = each.value
  authorization_type = "AWS_IAM"
  target             = "integrations/${aws_apigatewayv2_integration.function.id}"
}

resource "aws_apigatewayv2_stage" "this" {
  api_id = aws_apigatewayv2_api.this.id
  # The one stage without a prefix in its URL.
  name        = "$default"
  auto_deploy = true

  default_route_settings {
    throttling_burst_limit   = var.throttling_burst
    throttling_rate_limit    = var.throttling_rate
    detailed_metrics_enabled = var.detailed_metrics
  }

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format          = jsonencode(local.access_log_format)
  }

  tags = var.tags
}

resource "aws_lambda_permission" "api" {
  # A function's policy grows by the API that it answers; its name keeps two APIs apart.
  statement_id  = "InvokeFrom-${var.name}"
  action        = "lambda:InvokeFunction"
  function_name = var.function.function_name
  qualifier     = var.function.alias
  principal     = "apigateway.amazonaws.com"
  # This API alone: any of its stages, methods and routes.
  source_arn = "${aws_apigatewayv2_api.this.execution_arn}/*/*"
}
