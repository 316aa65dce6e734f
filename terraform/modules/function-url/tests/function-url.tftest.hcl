# The real provider's schema, no AWS: what is computed takes the values given here.
mock_provider "aws" {
  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abcdefghijklmnop.lambda-url.eu-central-1.on.aws/" }
  }
}

variables {
  function = {
    function_name = "shop-222222222222-dev-tracer"
    alias         = "live"
  }
}

run "signed_by_default" {
  assert {
    condition = (aws_lambda_function_url.this.function_name == "shop-222222222222-dev-tracer"
      && aws_lambda_function_url.this.qualifier == "live"
      && aws_lambda_function_url.this.authorization_type == "AWS_IAM"
      && aws_lambda_function_url.this.invoke_mode == "BUFFERED"
    && length(aws_lambda_function_url.this.cors) == 0)
    error_message = "The URL binds the alias, wants signed requests and answers no preflight."
  }

  assert {
    condition     = length(aws_lambda_permission.url) == 0 && length(aws_cloudformation_stack.invoke) == 0
    error_message = "Nobody is let in unasked."
  }

  assert {
    condition     = output.url == "https://abcdefghijklmnop.lambda-url.eu-central-1.on.aws/" && output.host == "abcdefghijklmnop.lambda-url.eu-central-1.on.aws"
    error_message = "The outputs are the URL and its host."
  }
}

run "public" {
  variables {
    authorization = "NONE"
    tags          = { Owner = "tracing" }
  }

  assert {
    condition = (aws_lambda_function_url.this.authorization_type == "NONE"
      && keys(aws_lambda_permission.url) == ["Everyone"]
      && aws_lambda_permission.url["Everyone"].action == "lambda:InvokeFunctionUrl"
      && aws_lambda_permission.url["Everyone"].principal == "*"
      && aws_lambda_permission.url["Everyone"].function_url_auth_type == "NONE"
      && aws_lambda_permission.url["Everyone"].function_name == "shop-222222222222-dev-tracer"
    && aws_lambda_permission.url["Everyone"].qualifier == "live")
    error_message = "Everyone may call the URL of the alias, while it is open."
  }

  assert {
    condition = jsonencode(jsondecode(aws_cloudformation_stack.invoke[0].template_body).Resources) == jsonencode({
      InvokeEveryone = {
        Type = "AWS::Lambda::Permission"
        Properties = {
          Action                = "lambda:InvokeFunction"
          FunctionName          = "shop-222222222222-dev-tracer:live"
          Principal             = "*"
          InvokedViaFunctionUrl = true
        }
      }
    })
    error_message = "Everyone may invoke the alias, but only through the URL."
  }

  assert {
    condition     = aws_cloudformation_stack.invoke[0].name == "shop-222222222222-dev-tracer-url-invoke" && aws_cloudformation_stack.invoke[0].tags == tomap({ Owner = "tracing" })
    error_message = "The stack takes the function's name and the tags."
  }
}

run "invokers" {
  variables {
    function = { function_name = "shop_222222222222_dev_tracer", alias = "live" }
    invokers = {
      Checkout = "arn:aws:iam::333333333333:role/shop-333333333333-prod-checkout"
      Partner  = "444444444444"
    }
  }

  assert {
    condition = ({ for key, permission in aws_lambda_permission.url : key => [permission.statement_id, permission.principal, permission.qualifier, permission.function_url_auth_type] } == {
      Checkout = ["InvokeUrlCheckout", "arn:aws:iam::333333333333:role/shop-333333333333-prod-checkout", "live", "AWS_IAM"]
      Partner  = ["InvokeUrlPartner", "444444444444", "live", "AWS_IAM"]
    })
    error_message = "Each invoker may call the URL of the alias, and nobody else."
  }

  assert {
    condition = { for key, resource in jsondecode(aws_cloudformation_stack.invoke[0].template_body).Resources : key => [resource.Properties.Principal, resource.Properties.FunctionName, tostring(resource.Properties.InvokedViaFunctionUrl)] } == {
      InvokeCheckout = ["arn:aws:iam::333333333333:role/shop-333333333333-prod-checkout", "shop_222222222222_dev_tracer:live", "true"]
      InvokePartner  = ["444444444444", "shop_222222222222_dev_tracer:live", "true"]
    }
    error_message = "The same ones may invoke the alias through the URL."
  }

  assert {
    condition     = aws_cloudformation_stack.invoke[0].name == "shop-222222222222-dev-tracer-url-invoke"
    error_message = "CloudFormation takes no underscores in a stack's name."
  }
}

run "emulator" {
  variables {
    authorization = "NONE"
    emulated      = true
  }

  assert {
    condition     = length(aws_cloudformation_stack.invoke) == 0 && keys(aws_lambda_permission.url) == ["Everyone"]
    error_message = "Without the stack the first permission stays."
  }
}

run "cors_and_streaming" {
  variables {
    stream_responses = true
    cors = {
      allow_origins     = ["https://shop.example"]
      allow_methods     = ["GET", "PATCH"]
      allow_headers     = ["x-api-key"]
      expose_headers    = ["x-request-id"]
      allow_credentials = true
      max_age           = 600
    }
  }

  assert {
    condition     = aws_lambda_function_url.this.invoke_mode == "RESPONSE_STREAM"
    error_message = "Responses stream where that was asked for."
  }

  assert {
    condition = (aws_lambda_function_url.this.cors[0].allow_origins == toset(["https://shop.example"])
      && aws_lambda_function_url.this.cors[0].allow_methods == toset(["GET", "PATCH"])
      && aws_lambda_function_url.this.cors[0].allow_headers == toset(["x-api-key"])
      && aws_lambda_function_url.this.cors[0].expose_headers == toset(["x-request-id"])
      && aws_lambda_function_url.this.cors[0].allow_credentials
    && aws_lambda_function_url.this.cors[0].max_age == 600)
    error_message = "Preflights are answered as asked."
  }
}

run "cors_defaults" {
  variables {
    cors = { allow_origins = ["*"] }
  }

  assert {
    condition = (aws_lambda_function_url.this.cors[0].allow_methods == toset(["GET", "POST"])
      && aws_lambda_function_url.this.cors[0].allow_headers == toset(["content-type"])
    && !aws_lambda_function_url.this.cors[0].allow_credentials)
    error_message = "Without more, pages read and post, without credentials."
  }
}

run "refuses_a_function_arn" {
  command = plan

  variables {
    function = { function_name = "arn:aws:lambda:eu-central-1:222222222222:function:tracer", alias = "live" }
  }

  expect_failures = [var.function]
}

run "refuses_latest" {
  command = plan

  variables {
    function = { function_name = "tracer", alias = "$LATEST" }
  }

  expect_failures = [var.function]
}

run "refuses_a_version_number" {
  command = plan

  variables {
    function = { function_name = "tracer", alias = "7" }
  }

  expect_failures = [var.function]
}

run "refuses_an_unknown_authorization" {
  command = plan

  variables {
    authorization = "JWT"
  }

  expect_failures = [var.authorization]
}

run "refuses_an_invoker_named_with_a_hyphen" {
  command = plan

  variables {
    invokers = { "check-out" = "444444444444" }
  }

  expect_failures = [var.invokers]
}

run "refuses_everyone_with_an_account" {
  command = plan

  variables {
    invokers = { All = "*" }
  }

  expect_failures = [var.invokers]
}

run "refuses_invokers_of_an_open_url" {
  command = plan

  variables {
    authorization = "NONE"
    invokers      = { Partner = "444444444444" }
  }

  expect_failures = [var.invokers]
}

run "refuses_the_method_options" {
  command = plan

  variables {
    cors = { allow_origins = ["*"], allow_methods = ["OPTIONS"] }
  }

  expect_failures = [var.cors]
}

run "refuses_credentials_from_everywhere" {
  command = plan

  variables {
    cors = { allow_origins = ["*"], allow_credentials = true }
  }

  expect_failures = [var.cors]
}

run "refuses_a_preflight_remembered_too_long" {
  command = plan

  variables {
    cors = { allow_origins = ["*"], max_age = 86401 }
  }

  expect_failures = [var.cors]
}

run "real_account_refuses_emulated" {
  command = plan

  variables {
    emulated = true
  }

  override_data {
    target = data.aws_canonical_user_id.emulated
    values = { id = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be" }
  }

  expect_failures = [aws_lambda_function_url.this]
}

run "localstack_is_an_emulator" {
  command = plan

  variables {
    emulated = true
  }

  override_data {
    target = data.aws_canonical_user_id.emulated
    values = { id = "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a" }
  }

  assert {
    condition     = local.may_be_emulated
    error_message = "LocalStack's own canonical user id is known."
  }
}
