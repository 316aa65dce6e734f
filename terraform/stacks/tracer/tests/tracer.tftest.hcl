# The stack's side of the contract with Slipway, and what its switches switch, without AWS.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "222222222222" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }

  mock_data "aws_region" {
    defaults = { id = "eu-central-1", name = "eu-central-1" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::222222222222:role/slipway-222222222222-dev-tracer" }
  }

  mock_resource "aws_lambda_alias" {
    defaults = { arn = "arn:aws:lambda:eu-central-1:222222222222:function:slipway-222222222222-dev-tracer:live" }
  }

  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abc.lambda-url.eu-central-1.on.aws/" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:222222222222:log-group:/aws/lambda/slipway-222222222222-dev-tracer" }
  }

  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:eu-central-1:222222222222:secret:slipway-222222222222-dev-tracer-api-keys-AbCdEf" }
  }

  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000" }
  }

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:222222222222:slipway-222222222222-dev-tracer" }
  }
}

variables {
  alert_email_addresses = ["ops@example.com"]

  environment = {
    name       = "dev"
    project    = "slipway"
    account_id = "222222222222"
    region     = "eu-central-1"
  }
  releases = {
    tracer = {
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
    condition     = keys(output.functions) == ["tracer"] && toset(keys(output.functions.tracer)) == toset(["alias", "code_sha256", "function_name", "url", "version"]) && output.functions.tracer.url == output.api_url
    error_message = "`functions` names each function of the stack with its name, alias, version and digest, and its address."
  }

  assert {
    condition = (output.functions.tracer.function_name == "slipway-222222222222-dev-tracer"
      && output.traces_table_name == "slipway-222222222222-dev-traces"
    && output.spans_table_name == "slipway-222222222222-dev-spans")
    error_message = "Names are <project>-<account id>-<environment>-<resource>."
  }

  assert {
    condition     = output.lambda_function_arn == "arn:aws:lambda:eu-central-1:222222222222:function:slipway-222222222222-dev-tracer" && output.lambda_function_name == output.functions.tracer.function_name
    error_message = "The function goes out by name and by ARN."
  }

  assert {
    condition = [for line in split("\n", trimspace(output.configuration)) : line if !startswith(line, "#")] == [
      "TRACER_URL=https://abc.lambda-url.eu-central-1.on.aws/",
      "API_KEY=",
      "TRACES_TABLE=slipway-222222222222-dev-traces",
      "SPANS_TABLE=slipway-222222222222-dev-spans",
      "AWS_REGION=eu-central-1",
    ]
    error_message = "The configuration is an .env file whose key is left to its reader."
  }

  assert {
    condition     = output.alerts_topic_arn != null
    error_message = "Alerts are on unless an environment's values switch them off."
  }
}

run "names_and_role_from_outside" {
  variables {
    traces_table_name = "traces-of-old"
    spans_table_name  = "spans-of-old"
    function_role_arn = "arn:aws:iam::222222222222:role/slipway-222222222222-function"
    # An environment has it for other roles as well, as dev does.
    permissions_boundary_arn = "arn:aws:iam::222222222222:policy/slipway-222222222222-dev-boundary"
  }

  assert {
    condition     = output.traces_table_name == "traces-of-old" && output.spans_table_name == "spans-of-old"
    error_message = "A table may have a name of its own."
  }

  assert {
    condition     = module.tracer.role_arn == "arn:aws:iam::222222222222:role/slipway-222222222222-function"
    error_message = "A role from outside is taken as it is, without a policy of this stack's."
  }
}

run "no_alerts_no_topic" {
  variables {
    enable_cost_alerts     = false
    enable_error_alerts    = false
    enable_dynamodb_alerts = false
    alert_email_addresses  = ["team@shop.example"]
  }

  assert {
    condition     = output.alerts_topic_arn == null && length(module.monitoring.alarm_names) == 0 && module.budget.name == null
    error_message = "Each of the three switches can be off, and with all off nobody is told and nothing is paid for."
  }
}

run "cost_alone" {
  variables {
    enable_cost_alerts     = true
    enable_error_alerts    = false
    enable_dynamodb_alerts = false
  }

  assert {
    condition     = length(module.monitoring.alarm_names) == 0 && module.budget.name == "slipway-222222222222-dev-tracer-cost" && output.alerts_topic_arn != null
    error_message = "The budget tells the topic, without alarms."
  }
}

run "alarms_without_a_topic" {
  variables {
    enable_cost_alerts    = false
    make_alerts_topic     = false
    alert_email_addresses = ["team@shop.example"]
  }

  assert {
    condition     = output.alerts_topic_arn == null && length(module.monitoring.alarm_names) > 0
    error_message = "Alarms can do without a topic."
  }
}

run "errors_alone" {
  variables {
    enable_cost_alerts     = false
    enable_error_alerts    = true
    enable_dynamodb_alerts = false
  }

  assert {
    condition     = length(module.monitoring.alarm_names) > 0 && alltrue([for name in module.monitoring.alarm_names : !strcontains(name, "traces") && !strcontains(name, "spans")]) && module.budget.name == null
    error_message = "The function's alarms, and none of the tables'."
  }

  assert {
    condition     = anytrue([for name in module.monitoring.alarm_names : strcontains(name, "failed-requests")])
    error_message = "A request that could not be answered alarms too, though Lambda counts no error."
  }
}

run "tables_alone" {
  variables {
    enable_cost_alerts     = false
    enable_error_alerts    = false
    enable_dynamodb_alerts = true
  }

  assert {
    condition     = anytrue([for name in module.monitoring.alarm_names : strcontains(name, "spans")]) && !anytrue([for name in module.monitoring.alarm_names : strcontains(name, "failed-requests")])
    error_message = "The tables' alarms, and none of the function's."
  }
}

run "writes_keys_that_are_given" {
  command = plan

  variables {
    api_keys         = ["first-key-of-all", "second-key-of-all"]
    api_keys_version = 3
  }

  assert {
    condition     = module.api_keys.name == "slipway-222222222222-dev-tracer-api-keys"
    error_message = "Keys may be given; the plan takes them."
  }
}

run "needs_a_release" {
  command = plan

  variables {
    releases = {}
  }

  expect_failures = [var.releases]
}

run "refuses_a_short_key" {
  command = plan

  variables {
    api_keys = ["long-enough", "short"]
  }

  expect_failures = [var.api_keys]
}

run "refuses_no_key" {
  command = plan

  variables {
    api_keys = []
  }

  expect_failures = [var.api_keys]
}

run "refuses_an_origin_with_a_path" {
  command = plan

  variables {
    cors_allow_origins = ["https://shop.example/"]
  }

  expect_failures = [var.cors_allow_origins]
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
