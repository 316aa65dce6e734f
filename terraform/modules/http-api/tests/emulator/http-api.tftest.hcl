# Makes an HTTP API in front of a function's alias on an emulated AWS, changes it and looks at it.
# Endpoint, region and credentials come from the environment.
provider "aws" {
  max_retries       = 2
  s3_use_path_style = true
}

variables {
  name             = "slipway-modules-http-api"
  throttling_rate  = 5
  throttling_burst = 10
  tags             = { Purpose = "emulator" }
}

run "behind" {
  module {
    source = "./tests/emulator/setup"
  }
}

run "made" {
  variables {
    function   = run.behind.function
    invoke_arn = run.behind.invoke_arn
  }

  assert {
    condition     = startswith(output.url, "https://${output.api_id}.execute-api.") && endswith(output.execution_arn, ":${output.api_id}")
    error_message = "API Gateway gave the API an id, and an address by it."
  }

  assert {
    condition     = keys(aws_apigatewayv2_route.this) == ["$default"] && aws_apigatewayv2_route.this["$default"].authorization_type == "AWS_IAM"
    error_message = "One route takes everything that is signed."
  }

  assert {
    condition     = aws_apigatewayv2_integration.function.integration_uri == run.behind.invoke_arn && strcontains(run.behind.invoke_arn, ":live/invocations")
    error_message = "The route leads to the alias."
  }

  assert {
    condition     = one(aws_apigatewayv2_stage.this.default_route_settings).throttling_rate_limit == 5 && one(aws_apigatewayv2_stage.this.default_route_settings).throttling_burst_limit == 10
    error_message = "The stage keeps the limits."
  }
}

# The stage stays as it was made: the emulator can't change one.
run "routed" {
  variables {
    function             = run.behind.function
    invoke_arn           = run.behind.invoke_arn
    routes               = ["GET /health", "GET /objects"]
    timeout_milliseconds = 5000
    log_retention_days   = 30
  }

  assert {
    condition     = output.api_id == run.made.api_id && output.url == run.made.url
    error_message = "The API and its address stay."
  }

  assert {
    condition     = sort([for route in aws_apigatewayv2_route.this : "${route.route_key} ${route.authorization_type}"]) == tolist(["GET /health AWS_IAM", "GET /objects AWS_IAM"])
    error_message = "Two routes, both signed, in the place of the one that took everything."
  }

  assert {
    condition     = aws_apigatewayv2_integration.function.timeout_milliseconds == 5000
    error_message = "The API waits for five seconds."
  }
}

run "as_the_services_tell_it" {
  module {
    source = "./tests/emulator/look"
  }

  variables {
    api_id         = run.routed.api_id
    log_group_name = run.routed.log_group_name
  }

  assert {
    condition     = output.api.name == "slipway-modules-http-api" && output.api.protocol_type == "HTTP" && output.api.api_endpoint == run.made.url && output.api.tags["Purpose"] == "emulator"
    error_message = "The API is there under its name, tagged."
  }

  assert {
    condition     = output.log_group.retention_in_days == 30
    error_message = "Its access logs are kept for a month."
  }
}
