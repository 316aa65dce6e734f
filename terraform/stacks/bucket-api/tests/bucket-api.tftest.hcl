# The stack's side of the contract with Slipway, who is let in, and what its switches switch, without AWS.
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

  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::222222222222:policy/slipway-222222222222-dev-bucket-api-invoke" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:222222222222:log-group:/aws/lambda/slipway-222222222222-dev-bucket-api-zip" }
  }

  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000" }
  }

  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::slipway-222222222222-dev-objects" }
  }

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:222222222222:slipway-222222222222-dev-bucket-api" }
  }

  mock_resource "aws_apigatewayv2_api" {
    defaults = {
      id            = "a1b2c3d4e5"
      api_endpoint  = "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"
      execution_arn = "arn:aws:execute-api:eu-central-1:222222222222:a1b2c3d4e5"
    }
  }
}

override_resource {
  target = module.function["bucket-api-zip"].aws_iam_role.this
  values = { arn = "arn:aws:iam::222222222222:role/slipway-222222222222-dev-bucket-api-zip" }
}

override_resource {
  target = module.function["bucket-api-zip"].aws_lambda_alias.live
  values = {
    arn        = "arn:aws:lambda:eu-central-1:222222222222:function:slipway-222222222222-dev-bucket-api-zip:live"
    invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:222222222222:function:slipway-222222222222-dev-bucket-api-zip:live/invocations"
  }
}

override_resource {
  target = module.function["bucket-api-image"].aws_iam_role.this
  values = { arn = "arn:aws:iam::222222222222:role/slipway-222222222222-dev-bucket-api-image" }
}

override_resource {
  target = module.function["bucket-api-image"].aws_lambda_alias.live
  values = {
    arn        = "arn:aws:lambda:eu-central-1:222222222222:function:slipway-222222222222-dev-bucket-api-image:live"
    invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:222222222222:function:slipway-222222222222-dev-bucket-api-image:live/invocations"
  }
}

variables {
  alert_email_addresses = ["ops@example.com"]
  deployment_role_arns  = ["arn:aws:iam::222222222222:role/slipway/ci/slipway-222222222222-dev-ci-apply"]
  planning_role_arns    = ["arn:aws:iam::222222222222:role/slipway/ci/slipway-222222222222-dev-ci-plan"]

  environment = {
    name       = "dev"
    project    = "slipway"
    account_id = "222222222222"
    region     = "eu-central-1"
  }
  releases = {
    bucket-api-zip = {
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

run "zip_alone" {
  assert {
    condition     = keys(output.functions) == ["bucket-api-zip"] && output.functions["bucket-api-zip"].function_name == "slipway-222222222222-dev-bucket-api-zip"
    error_message = "Only what the environment selects runs."
  }

  assert {
    condition     = toset(keys(output.functions["bucket-api-zip"])) == toset(["alias", "code_sha256", "function_name", "url", "url_signed_for", "version"])
    error_message = "`functions` names the function with its name, alias, version and digest, and where and how it is reached."
  }

  assert {
    condition     = output.functions["bucket-api-zip"].url == "https://a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com" && output.functions["bucket-api-zip"].url_signed_for == "execute-api" && output.api_url == output.functions["bucket-api-zip"].url
    error_message = "The function that serves is reached through the API, by signed requests."
  }

  assert {
    condition     = endswith(module.api.invoke_statements[0].resources[0], ":a1b2c3d4e5/*/*") && output.bucket_name == "slipway-222222222222-dev-objects"
    error_message = "Names are <project>-<account id>-<environment>-<resource>."
  }

  assert {
    condition     = output.alerts_topic_arn != null && output.dashboard_name == "slipway-222222222222-dev-bucket-api"
    error_message = "Alerts and dashboard are on, GuardDuty is off unless an environment's values say otherwise."
  }

  assert {
    condition = alltrue([for word in ["bucket-api-zip", "4xx", "5xx", "latency", "failed-requests", "refused-callers", "throttles", "concurrency", "duration"] :
    anytrue([for name in output.alarm_names : strcontains(name, word)])])
    error_message = "Function, API and logs are watched: ${join(", ", output.alarm_names)}"
  }
}

run "both_run_and_the_image_serves" {
  variables {
    serves = "image"
    releases = {
      bucket-api-zip = {
        version      = "0.1.0"
        architecture = "x86_64"
        runtime      = "provided.al2023"
        handler      = "bootstrap"
        code = {
          sha256 = "aHf0ny7UlJ+airBtNfDsinU5CJXnAIYpvQYSyyB5Sws="
          s3     = { bucket = "slipway-111111111111-artifacts", key = "artifacts/sha256/6877.zip" }
        }
      }
      bucket-api-image = {
        version      = "0.2.0"
        architecture = "x86_64"
        runtime      = "provided.al2023"
        handler      = "bootstrap"
        code = {
          sha256    = "6877f49f2ed4949f9a8ab06d35f0ec8a75390895e7008629bd0612cb20794b0b"
          image_uri = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/slipway/bucket-api-image@sha256:6877f49f2ed4949f9a8ab06d35f0ec8a75390895e7008629bd0612cb20794b0b"
        }
      }
    }
  }

  assert {
    condition     = keys(output.functions) == ["bucket-api-image", "bucket-api-zip"]
    error_message = "Both may run, so that the API can go from one to the other."
  }

  assert {
    condition     = contains(keys(output.functions["bucket-api-image"]), "url") && !contains(keys(output.functions["bucket-api-zip"]), "url")
    error_message = "The API leads to the one that serves, and to it alone."
  }

  assert {
    condition     = module.function["bucket-api-image"].invoke_arn == "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:222222222222:function:slipway-222222222222-dev-bucket-api-image:live/invocations" && endswith(output.function_alias_arns["bucket-api-zip"], ":live")
    error_message = "The API binds the alias."
  }

  assert {
    condition = [for name, permission in aws_lambda_permission.api : [permission.function_name, permission.qualifier, permission.principal, permission.source_arn]] == [
      for name in ["image", "zip"] : ["slipway-222222222222-dev-bucket-api-${name}", "live", "apigateway.amazonaws.com", "arn:aws:execute-api:eu-central-1:222222222222:a1b2c3d4e5/*/*"]
    ]
    error_message = "This API alone may call either function's alias, so that going from one to the other leaves no gap."
  }

  assert {
    condition = toset([for statement in jsondecode(module.bucket.policy).Statement : statement.Condition.ArnNotEquals["aws:PrincipalArn"] if statement.Sid == "ObjectsForAllowedPrincipals"][0]) == toset([
      "arn:aws:iam::222222222222:role/slipway-222222222222-dev-bucket-api-image",
      "arn:aws:iam::222222222222:role/slipway-222222222222-dev-bucket-api-zip",
      "arn:aws:iam::222222222222:role/slipway/ci/slipway-222222222222-dev-ci-apply",
    ])
    error_message = "Both functions' roles may use the bucket, and whoever applies."
  }
}

run "bucket_admits_functions_and_deployment_alone" {
  variables {
    deployment_role_arns = ["arn:aws:iam::222222222222:role/slipway-deploy"]
    object_role_arns     = ["arn:aws:iam::222222222222:role/shop-upload"]
  }

  assert {
    condition = toset([for statement in jsondecode(module.bucket.policy).Statement : statement.Condition.ArnNotEquals["aws:PrincipalArn"] if statement.Sid == "ObjectsForAllowedPrincipals"][0]) == toset([
      "arn:aws:iam::222222222222:role/slipway-222222222222-dev-bucket-api-zip",
      "arn:aws:iam::222222222222:role/shop-upload",
      "arn:aws:iam::222222222222:role/slipway-deploy",
    ])
    error_message = "The objects are for the function, for whom the values name, and for whoever deploys."
  }

  assert {
    condition     = [for statement in jsondecode(module.bucket.policy).Statement : statement.Condition.ArnNotEquals["aws:PrincipalArn"] if statement.Sid == "SettingsForAdministrators"][0] == ["arn:aws:iam::222222222222:role/slipway-deploy"]
    error_message = "The bucket's settings are for whoever deploys."
  }

  assert {
    condition     = contains([for statement in jsondecode(module.bucket.policy).Statement : statement.Sid], "HttpsOnly")
    error_message = "Nothing without TLS."
  }
}

run "callers" {
  variables {
    invoker_role_names = ["shop-frontend", "shop-support"]
  }

  assert {
    condition     = toset([for attachment in aws_iam_role_policy_attachment.invoke : attachment.role]) == toset(["shop-frontend", "shop-support"])
    error_message = "The roles that are named may call."
  }

  assert {
    condition = jsondecode(aws_iam_policy.invoke.policy).Statement == [{
      Sid      = "InvokeApi"
      Effect   = "Allow"
      Action   = ["execute-api:Invoke"]
      Resource = ["arn:aws:execute-api:eu-central-1:222222222222:a1b2c3d4e5/*/*"]
    }]
    error_message = "They may call this API and nothing else."
  }
}

run "guardduty_findings_reach_the_topic" {
  variables {
    notify_guardduty_findings = true
  }

  assert {
    condition     = aws_cloudwatch_event_target.findings[0].arn == output.alerts_topic_arn
    error_message = "What the account's detector finds goes where alarms go."
  }
}

run "guardduty_without_a_topic" {
  variables {
    notify_guardduty_findings = true
    make_alerts_topic         = false
  }

  assert {
    condition     = length(aws_cloudwatch_event_rule.findings) == 0 && output.alerts_topic_arn == null
    error_message = "Findings stay in GuardDuty where there is no topic."
  }
}

run "refuses_to_shut_out_the_applying_role" {
  command = plan

  variables {
    deployment_role_arns = []
  }

  expect_failures = [var.deployment_role_arns]
}

run "each_alert_has_its_switch" {
  variables {
    enable_error_alerts       = false
    enable_duration_alerts    = false
    enable_throttle_alerts    = false
    enable_concurrency_alerts = false
    enable_log_alerts         = false
    enable_dashboard          = false
  }

  assert {
    condition     = length(output.alarm_names) > 0 && alltrue([for name in output.alarm_names : strcontains(name, "api-") && !strcontains(name, "bucket-api-zip")]) && output.dashboard_name == null
    error_message = "The API's alarms alone: ${join(", ", output.alarm_names)}"
  }
}

run "refuses_to_serve_what_does_not_run" {
  command = plan

  variables {
    serves = "image"
  }

  expect_failures = [var.serves]
}

run "refuses_another_way_to_serve" {
  command = plan

  variables {
    serves = "layer"
  }

  expect_failures = [var.serves]
}

run "refuses_no_release" {
  command = plan

  variables {
    releases = {}
  }

  expect_failures = [var.serves]
}

run "refuses_a_caller_by_arn" {
  command = plan

  variables {
    invoker_role_names = ["arn:aws:iam::222222222222:role/shop-frontend"]
  }

  expect_failures = [var.invoker_role_names]
}

run "refuses_a_session_as_deployer" {
  command = plan

  variables {
    deployment_role_arns = ["arn:aws:sts::222222222222:assumed-role/slipway-deploy/session"]
  }

  expect_failures = [var.deployment_role_arns]
}

run "refuses_to_outlast_the_api" {
  command = plan

  variables {
    timeout = 30
  }

  expect_failures = [var.timeout]
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

run "roles_of_the_account" {
  variables {
    function_role_arns       = { bucket-api-zip = "arn:aws:iam::222222222222:role/slipway-222222222222-dev-bucket-api" }
    permissions_boundary_arn = "arn:aws:iam::222222222222:policy/slipway-222222222222-dev-boundary"
  }

  assert {
    condition     = module.function["bucket-api-zip"].role_arn == var.function_role_arns["bucket-api-zip"]
    error_message = "A role that the account's administrator made is taken, and none is made."
  }
}
