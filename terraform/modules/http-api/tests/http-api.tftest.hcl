# The real provider's schema, no AWS: what is computed takes the values given here.
mock_provider "aws" {
  mock_resource "aws_apigatewayv2_api" {
    defaults = {
      id            = "a1b2c3d4e5"
      api_endpoint  = "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"
      execution_arn = "arn:aws:execute-api:eu-central-1:222222222222:a1b2c3d4e5"
    }
  }

  mock_resource "aws_apigatewayv2_integration" {
    defaults = { id = "i1n2t3g" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:222222222222:log-group:/aws/vendedlogs/apigateway/shop-222222222222-dev-api" }
  }
}

variables {
  name = "shop-222222222222-dev-api"
  function = {
    function_name = "shop-222222222222-dev-objects"
    alias         = "live"
  }
  invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:222222222222:function:shop-222222222222-dev-objects:live/invocations"
}

run "calls_the_alias" {
  assert {
    condition = (aws_apigatewayv2_api.this.protocol_type == "HTTP"
      && aws_apigatewayv2_api.this.name == "shop-222222222222-dev-api"
      && aws_apigatewayv2_integration.function.integration_type == "AWS_PROXY"
      && aws_apigatewayv2_integration.function.integration_uri == var.invoke_arn
      && aws_apigatewayv2_integration.function.payload_format_version == "2.0"
    && aws_apigatewayv2_integration.function.timeout_milliseconds == 30000)
    error_message = "The API hands each request to the alias."
  }

  assert {
    condition = (aws_lambda_permission.api.function_name == "shop-222222222222-dev-objects"
      && aws_lambda_permission.api.qualifier == "live"
      && aws_lambda_permission.api.action == "lambda:InvokeFunction"
      && aws_lambda_permission.api.principal == "apigateway.amazonaws.com"
    && aws_lambda_permission.api.source_arn == "arn:aws:execute-api:eu-central-1:222222222222:a1b2c3d4e5/*/*")
    error_message = "The alias lets in this API and no other."
  }
}

run "signed_and_throttled_by_default" {
  assert {
    condition = ({ for key, route in aws_apigatewayv2_route.this : key => [route.route_key, route.authorization_type, route.target] } == {
      "$default" = ["$default", "AWS_IAM", "integrations/i1n2t3g"]
    })
    error_message = "Everything goes to the function, signed."
  }

  assert {
    condition = (aws_apigatewayv2_stage.this.name == "$default"
      && aws_apigatewayv2_stage.this.auto_deploy
      && aws_apigatewayv2_stage.this.default_route_settings[0].throttling_rate_limit == 50
      && aws_apigatewayv2_stage.this.default_route_settings[0].throttling_burst_limit == 100
    && !aws_apigatewayv2_stage.this.default_route_settings[0].detailed_metrics_enabled)
    error_message = "The stage has no prefix and throttles; no metric is paid for unasked."
  }

  assert {
    condition = (output.url == "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"
      && output.api_id == "a1b2c3d4e5"
      && output.log_group_name == "/aws/vendedlogs/apigateway/shop-222222222222-dev-api"
    && jsonencode(output.invoke_statements) == jsonencode([{ sid = "InvokeApi", actions = ["execute-api:Invoke"], resources = ["arn:aws:execute-api:eu-central-1:222222222222:a1b2c3d4e5/*/*"] }]))
    error_message = "A caller is allowed this API and nothing else."
  }
}

run "logs_each_request_as_json" {
  assert {
    condition     = aws_apigatewayv2_stage.this.access_log_settings[0].destination_arn == aws_cloudwatch_log_group.access.arn
    error_message = "Requests are logged to the API's own group."
  }

  assert {
    condition = (jsondecode(aws_apigatewayv2_stage.this.access_log_settings[0].format).request_id == "$context.requestId"
      && jsondecode(aws_apigatewayv2_stage.this.access_log_settings[0].format).caller == "$context.identity.userArn"
      && jsondecode(aws_apigatewayv2_stage.this.access_log_settings[0].format).route == "$context.routeKey"
      && jsondecode(aws_apigatewayv2_stage.this.access_log_settings[0].format).status == "$context.status"
    && jsondecode(aws_apigatewayv2_stage.this.access_log_settings[0].format).latency_ms == "$context.responseLatency")
    error_message = "A line is one JSON object: who called what, with what result and how long it took."
  }

  assert {
    condition     = !strcontains(aws_apigatewayv2_stage.this.access_log_settings[0].format, "userAgent") && !strcontains(aws_apigatewayv2_stage.this.access_log_settings[0].format, "\n")
    error_message = "No text that the caller chooses freely, and no line break, which would cut the object in two."
  }

  assert {
    condition     = aws_cloudwatch_log_group.access.retention_in_days == 365
    error_message = "Access logs are kept for a year unless asked otherwise."
  }
}

# A plan: made up, a group without a key would answer one all the same.
run "without_a_key" {
  command = plan

  assert {
    condition     = aws_cloudwatch_log_group.access.kms_key_id == null
    error_message = "Without a key given CloudWatch Logs' own does."
  }
}

run "as_asked" {
  variables {
    routes               = ["GET /objects", "GET /objects/{key}", "ANY /"]
    timeout_milliseconds = 5000
    throttling_rate      = 5
    throttling_burst     = 10
    detailed_metrics     = true
    log_retention_days   = 30
    kms_key_arn          = "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000"
    tags                 = { Owner = "orders" }
  }

  assert {
    condition = (toset(keys(aws_apigatewayv2_route.this)) == var.routes
    && alltrue([for route in aws_apigatewayv2_route.this : route.authorization_type == "AWS_IAM"]))
    error_message = "The API answers the routes named, each one signed."
  }

  assert {
    condition = (aws_apigatewayv2_integration.function.timeout_milliseconds == 5000
      && aws_apigatewayv2_stage.this.default_route_settings[0].throttling_rate_limit == 5
      && aws_apigatewayv2_stage.this.default_route_settings[0].throttling_burst_limit == 10
    && aws_apigatewayv2_stage.this.default_route_settings[0].detailed_metrics_enabled)
    error_message = "Time limit, throttling and metrics are as asked."
  }

  assert {
    condition     = aws_cloudwatch_log_group.access.kms_key_id == var.kms_key_arn && aws_cloudwatch_log_group.access.retention_in_days == 30
    error_message = "The logs are encrypted with the key given and kept as long as asked."
  }

  assert {
    condition = alltrue([for tags in [aws_apigatewayv2_api.this.tags, aws_apigatewayv2_stage.this.tags, aws_cloudwatch_log_group.access.tags] :
    tags == tomap({ Owner = "orders" })])
    error_message = "API, stage and log group carry the tags given."
  }
}

run "refuses_a_name_with_a_slash" {
  command = plan

  variables {
    name = "shop/api"
  }

  expect_failures = [var.name]
}

run "refuses_a_function_arn" {
  command = plan

  variables {
    function   = { function_name = "arn:aws:lambda:eu-central-1:222222222222:function:objects", alias = "live" }
    invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/x:arn:aws:lambda:eu-central-1:222222222222:function:objects:live/invocations"
  }

  expect_failures = [var.function]
}

run "refuses_a_version_number" {
  command = plan

  variables {
    function   = { function_name = "objects", alias = "7" }
    invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:222222222222:function:objects:7/invocations"
  }

  expect_failures = [var.function]
}

run "refuses_latest" {
  command = plan

  variables {
    invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:222222222222:function:shop-222222222222-dev-objects/invocations"
  }

  expect_failures = [var.invoke_arn]
}

run "refuses_no_routes" {
  command = plan

  variables {
    routes = []
  }

  expect_failures = [var.routes]
}

run "refuses_a_route_without_a_method" {
  command = plan

  variables {
    routes = ["/objects"]
  }

  expect_failures = [var.routes]
}

run "refuses_too_long_a_wait" {
  command = plan

  variables {
    timeout_milliseconds = 30001
  }

  expect_failures = [var.timeout_milliseconds]
}

run "refuses_a_rate_of_nothing" {
  command = plan

  variables {
    throttling_rate = 0
  }

  expect_failures = [var.throttling_rate]
}

run "refuses_half_a_burst" {
  command = plan

  variables {
    throttling_burst = 0.5
  }

  expect_failures = [var.throttling_burst]
}

run "refuses_an_odd_retention" {
  command = plan

  variables {
    log_retention_days = 42
  }

  expect_failures = [var.log_retention_days]
}

run "refuses_the_alias_of_a_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:alias/logs"
  }

  expect_failures = [var.kms_key_arn]
}

run "signed_requests_alone_by_default" {
  assert {
    condition     = length(aws_apigatewayv2_authorizer.jwt) + length(aws_apigatewayv2_domain_name.this) == 0 && length(aws_apigatewayv2_api.this.cors_configuration) == 0 && !aws_apigatewayv2_api.this.disable_execute_api_endpoint && output.domain_target == null
    error_message = "No tokens, no pages of others and no domain unless asked."
  }
}

run "tokens" {
  variables {
    routes            = ["GET /orders", "POST /orders"]
    jwt_authorizers   = { people = { issuer = "https://login.shop.example", audiences = ["orders"] } }
    route_authorizers = { "GET /orders" = { authorizer = "people", scopes = ["orders:read"] } }
  }

  assert {
    condition = (aws_apigatewayv2_route.this["GET /orders"].authorization_type == "JWT"
      && aws_apigatewayv2_route.this["GET /orders"].authorizer_id == aws_apigatewayv2_authorizer.jwt["people"].id
      && aws_apigatewayv2_route.this["GET /orders"].authorization_scopes == toset(["orders:read"])
    && aws_apigatewayv2_route.this["POST /orders"].authorization_type == "AWS_IAM")
    error_message = "A route with an authorizer wants a token with a scope, and every other one a signed request."
  }

  assert {
    condition     = aws_apigatewayv2_authorizer.jwt["people"].jwt_configuration[0].issuer == "https://login.shop.example" && aws_apigatewayv2_authorizer.jwt["people"].jwt_configuration[0].audience == toset(["orders"])
    error_message = "Issuer and audience are the ones given."
  }
}

run "pages_of_others" {
  variables {
    cors = { allow_origins = ["https://shop.example"] }
  }

  assert {
    condition     = aws_apigatewayv2_api.this.cors_configuration[0].allow_origins == toset(["https://shop.example"]) && aws_apigatewayv2_api.this.cors_configuration[0].allow_methods == toset(["GET"]) && !aws_apigatewayv2_api.this.cors_configuration[0].allow_credentials
    error_message = "The pages named may read, without cookies."
  }
}

run "a_domain" {
  variables {
    domain = { name = "api.shop.example", certificate_arn = "arn:aws:acm:eu-central-1:222222222222:certificate/0" }
  }

  assert {
    condition     = aws_apigatewayv2_api.this.disable_execute_api_endpoint && aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].security_policy == "TLS_1_2" && aws_apigatewayv2_api_mapping.this[0].stage == aws_apigatewayv2_stage.this.id
    error_message = "The API answers under its domain alone, by TLS 1.2 or later."
  }
}

run "limits_of_a_route" {
  variables {
    routes           = ["GET /orders", "POST /orders"]
    route_throttling = { "POST /orders" = { rate = 5, burst = 10 } }
  }

  assert {
    condition     = [for settings in aws_apigatewayv2_stage.this.route_settings : "${settings.route_key} ${settings.throttling_rate_limit} ${settings.throttling_burst_limit}"] == ["POST /orders 5 10"]
    error_message = "The route named has its own limits."
  }
}

run "refuses_tokens_for_everybody" {
  command = plan

  variables {
    jwt_authorizers = { people = { issuer = "https://login.shop.example", audiences = [] } }
  }

  expect_failures = [var.jwt_authorizers]
}

run "refuses_an_authorizer_that_is_not_there" {
  command = plan

  variables {
    route_authorizers = { "$default" = { authorizer = "people" } }
  }

  expect_failures = [var.route_authorizers]
}

run "refuses_cookies_for_every_page" {
  command = plan

  variables {
    cors = { allow_origins = ["*"], allow_credentials = true }
  }

  expect_failures = [var.cors]
}

run "refuses_limits_of_a_route_that_is_not_there" {
  command = plan

  variables {
    route_throttling = { "GET /nothing" = { rate = 5, burst = 10 } }
  }

  expect_failures = [var.route_throttling]
}

run "refuses_a_domain_without_a_certificate" {
  command = plan

  variables {
    domain = { name = "api.shop.example", certificate_arn = "none" }
  }

  expect_failures = [var.domain]
}
