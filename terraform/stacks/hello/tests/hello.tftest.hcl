# The stack's side of the contract with Slipway, without AWS.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "222222222222" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::222222222222:role/slipway-222222222222-dev-hello" }
  }
}

variables {
  environment = {
    name       = "dev"
    project    = "slipway"
    account_id = "222222222222"
    region     = "eu-central-1"
  }
  releases = {
    hello = {
      version      = "0.1.0"
      architecture = "x86_64"
      runtime      = "provided.al2023"
      handler      = "bootstrap"
      code = {
        sha256 = "aHf0ny7UlJ+airBtNfDsinU5CJXnAIYpvQYSyyB5Sws="
        s3     = { bucket = "slipway-111111111111-artifacts", key = "artifacts/sha256/6877.zip" }
      }
    }
  }
}

run "contract" {
  assert {
    condition     = keys(output.functions) == ["hello"] && keys(output.functions.hello) == ["alias", "code_sha256", "function_name", "version"]
    error_message = "`functions` names each function of the stack with its name, alias, version and digest."
  }

  assert {
    condition     = output.functions.hello.function_name == "slipway-222222222222-dev-hello" && output.functions.hello.alias == "live"
    error_message = "Names are <project>-<account id>-<environment>-<resource>."
  }

  assert {
    condition     = output.hello_log_group_name == "/aws/lambda/slipway-222222222222-dev-hello"
    error_message = "The log group belongs to the function."
  }
}

run "needs_a_release" {
  command = plan

  variables {
    releases = {}
  }

  expect_failures = [var.releases]
}

run "log_level" {
  command = plan

  variables {
    log_level  = "DEBUG"
    log_format = "JSON"
  }

  assert {
    condition     = jsonencode(local.log_level) == jsonencode({ RUST_LOG = "debug" }) && jsonencode(local.logging_config) == jsonencode({ log_format = "JSON", application_log_level = "DEBUG" })
    error_message = "The level reaches the function as a variable, and with the format JSON Lambda too."
  }
}

run "refuses_an_unknown_log_level" {
  command = plan

  variables {
    log_level  = "LOUD"
    log_format = "XML"
  }

  expect_failures = [var.log_level, var.log_format]
}

run "role_of_the_account" {
  variables {
    function_role_arn        = "arn:aws:iam::222222222222:role/slipway-222222222222-dev-hello"
    permissions_boundary_arn = "arn:aws:iam::222222222222:policy/slipway-222222222222-dev-boundary"
  }

  assert {
    condition     = module.hello.role_arn == var.function_role_arn && module.hello.role_name == "slipway-222222222222-dev-hello"
    error_message = "A role that the account's administrator made is taken, and none is made."
  }
}
