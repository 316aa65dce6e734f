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

  # With a domain the API answers there alone: its own address would go past what protects the domain.
  disable_execute_api_endpoint = var.domain != null && !var.keep_own_address

  dynamic "cors_configuration" {
    for_each = var.cors[*]

    content {
      allow_origins     = cors_configuration.value.allow_origins
      allow_methods     = cors_configuration.value.allow_methods
      allow_headers     = cors_configuration.value.allow_headers
      expose_headers    = cors_configuration.value.expose_headers
      max_age           = cors_configuration.value.max_age_seconds
      allow_credentials = cors_configuration.value.allow_credentials
    }
  }
}

resource "aws_apigatewayv2_authorizer" "jwt" {
  for_each = var.jwt_authorizers

  api_id           = aws_apigatewayv2_api.this.id
  name             = each.key
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.Authorization"]

  jwt_configuration {
    issuer   = each.value.issuer
    audience = each.value.audiences
  }
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
  #checkov:skip=CKV_AWS_309: each route takes signed requests, or the tokens of an authorizer that the caller names
  for_each = var.routes

  api_id               = aws_apigatewayv2_api.this.id
  route_key            = each.value
  authorization_type   = contains(keys(var.route_authorizers), each.value) ? "JWT" : "AWS_IAM"
  authorizer_id        = contains(keys(var.route_authorizers), each.value) ? aws_apigatewayv2_authorizer.jwt[var.route_authorizers[each.value].authorizer].id : null
  authorization_scopes = contains(keys(var.route_authorizers), each.value) ? var.route_authorizers[each.value].scopes : null
  target               = "integrations/${aws_apigatewayv2_integration.function.id}"
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

  dynamic "route_settings" {
    for_each = var.route_throttling

    content {
      route_key                = route_settings.key
      throttling_rate_limit    = route_settings.value.rate
      throttling_burst_limit   = route_settings.value.burst
      detailed_metrics_enabled = var.detailed_metrics
    }
  }

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format          = jsonencode(local.access_log_format)
  }

  tags = var.tags

  # A stage names the settings of routes that exist.
  depends_on = [aws_apigatewayv2_route.this]
}

resource "aws_apigatewayv2_domain_name" "this" {
  count = var.domain == null ? 0 : 1

  domain_name = var.domain.name

  domain_name_configuration {
    certificate_arn = var.domain.certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }

  tags = var.tags
}

resource "aws_apigatewayv2_api_mapping" "this" {
  count = length(aws_apigatewayv2_domain_name.this)

  api_id          = aws_apigatewayv2_api.this.id
  domain_name     = aws_apigatewayv2_domain_name.this[0].id
  stage           = aws_apigatewayv2_stage.this.id
  api_mapping_key = var.domain.path
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
