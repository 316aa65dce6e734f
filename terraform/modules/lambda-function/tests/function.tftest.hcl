# The real provider's schema, no AWS: what is computed takes the values given here.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "222222222222" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::222222222222:role/shop-222222222222-dev-hello" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:222222222222:log-group:/aws/lambda/shop-222222222222-dev-hello" }
  }

  mock_resource "aws_lambda_function" {
    defaults = { version = "7", code_sha256 = "aHf0ny7UlJ+airBtNfDsinU5CJXnAIYpvQYSyyB5Sws=" }
  }

  mock_resource "aws_lambda_alias" {
    defaults = {
      arn        = "arn:aws:lambda:eu-central-1:222222222222:function:shop-222222222222-dev-hello:live"
      invoke_arn = "arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-central-1:222222222222:function:shop-222222222222-dev-hello:live/invocations"
    }
  }
}

variables {
  name = "shop-222222222222-dev-hello"
  release = {
    version      = "1.4.2"
    architecture = "x86_64"
    runtime      = "provided.al2023"
    handler      = "bootstrap"
    code = {
      sha256 = "aHf0ny7UlJ+airBtNfDsinU5CJXnAIYpvQYSyyB5Sws="
      s3     = { bucket = "shop-111111111111-artifacts", key = "artifacts/sha256/6877.zip" }
    }
  }
}

run "zip_release" {
  assert {
    condition = (aws_lambda_function.this.package_type == "Zip"
      && aws_lambda_function.this.s3_bucket == "shop-111111111111-artifacts"
      && aws_lambda_function.this.s3_key == "artifacts/sha256/6877.zip"
      && aws_lambda_function.this.image_uri == null
      && aws_lambda_function.this.runtime == "provided.al2023"
      && aws_lambda_function.this.handler == "bootstrap"
    && aws_lambda_function.this.architectures == tolist(["x86_64"]))
    error_message = "A zip comes from the store's object, with the release's runtime, handler and architecture."
  }

  assert {
    condition     = aws_lambda_function.this.source_code_hash == var.release.code.sha256
    error_message = "The release's own digest stands for its code; nothing is hashed here."
  }

  assert {
    condition     = aws_lambda_function.this.publish
    error_message = "Each change must publish a version."
  }

  assert {
    condition     = aws_lambda_function.this.description == null && length(aws_lambda_function.this.environment) == 0
    error_message = "Neither description nor environment may carry the release: each costs a second update."
  }

  assert {
    condition     = aws_lambda_alias.live[0].name == "live" && aws_lambda_alias.live[0].function_version == "7"
    error_message = "The alias `live` starts on the version that was published first."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/lambda/shop-222222222222-dev-hello" && aws_cloudwatch_log_group.this.retention_in_days == 7
    error_message = "The log group is the one that Lambda writes to, and keeps a week unless told otherwise."
  }

  assert {
    condition = output.function == {
      function_name = "shop-222222222222-dev-hello"
      alias         = "live"
      version       = "7"
      code_sha256   = "aHf0ny7UlJ+airBtNfDsinU5CJXnAIYpvQYSyyB5Sws="
    }
    error_message = "The output `function` is the contract with Slipway, no more and no less."
  }

  assert {
    condition     = endswith(output.alias_arn, ":live") && strcontains(output.invoke_arn, ":live/")
    error_message = "What callers bind is the alias, never the function alone."
  }
}

run "permissions_are_least" {
  assert {
    condition     = length(jsondecode(aws_iam_role_policy.logs[0].policy).Statement) == 2
    error_message = "Two statements, for the logs alone."
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.logs[0].policy).Statement : "${statement.Effect} ${statement.Action} ${statement.Resource}"] == [
      "Allow logs:CreateLogStream ${aws_cloudwatch_log_group.this.arn}:*",
      "Allow logs:PutLogEvents ${aws_cloudwatch_log_group.this.arn}:*",
    ]
    error_message = "Events may be written to the streams of that one group, and the group is never made again."
  }

  assert {
    condition = (jsondecode(aws_iam_role.this[0].assume_role_policy).Statement[0].Principal.Service == "lambda.amazonaws.com"
    && jsondecode(aws_iam_role.this[0].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "222222222222")
    error_message = "Lambda assumes the role, on behalf of this account only."
  }

  assert {
    condition     = length(aws_iam_role_policy.extra) == 0
    error_message = "Without statements there is no second policy."
  }
}

run "extra_permissions" {
  variables {
    policy_statements = [{
      sid        = "ReadOrders"
      actions    = ["dynamodb:GetItem"]
      resources  = ["arn:aws:dynamodb:eu-central-1:222222222222:table/orders"]
      conditions = { StringEquals = { "aws:PrincipalTag/team" = ["shop"] } }
      }, {
      actions   = ["sqs:SendMessage"]
      resources = ["arn:aws:sqs:eu-central-1:222222222222:orders"]
    }]
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.extra[0].policy).Statement == [
      {
        Sid       = "ReadOrders"
        Effect    = "Allow"
        Action    = ["dynamodb:GetItem"]
        Resource  = ["arn:aws:dynamodb:eu-central-1:222222222222:table/orders"]
        Condition = { StringEquals = { "aws:PrincipalTag/team" = ["shop"] } }
      },
      {
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = ["arn:aws:sqs:eu-central-1:222222222222:orders"]
      },
    ]
    error_message = "The statements arrive as given, and what was left out stays out."
  }

  assert {
    condition     = length(jsondecode(aws_iam_role_policy.logs[0].policy).Statement) == 2
    error_message = "The policy for the logs stays as it is."
  }
}

run "configuration" {
  variables {
    memory_size                    = 512
    timeout                        = 30
    log_retention_days             = 30
    environment_variables          = { GREETING = "Hello" }
    reserved_concurrent_executions = 5
    tags                           = { Team = "shop" }
  }

  assert {
    condition = (aws_lambda_function.this.memory_size == 512
      && aws_lambda_function.this.timeout == 30
      && aws_lambda_function.this.reserved_concurrent_executions == 5
      && aws_lambda_function.this.environment[0].variables == tomap({ GREETING = "Hello" })
      && aws_lambda_function.this.tags == tomap({ Team = "shop" })
    && aws_cloudwatch_log_group.this.retention_in_days == 30)
    error_message = "What the stack asks for reaches the function and its log group."
  }
}

run "own_key_for_the_logs" {
  variables {
    log_kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    kms_key_arn     = "arn:aws:kms:eu-central-1:222222222222:key/mrk-1234abcd12ab34cd56ef1234567890ab"
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.kms_key_id == var.log_kms_key_arn && aws_lambda_function.this.kms_key_arn == var.kms_key_arn
    error_message = "Each key reaches what it is to encrypt."
  }
}

run "logging" {
  variables {
    logging_config = { application_log_level = "DEBUG", system_log_level = "WARN" }
  }

  assert {
    condition = (aws_lambda_function.this.logging_config[0].log_format == "JSON"
      && aws_lambda_function.this.logging_config[0].application_log_level == "DEBUG"
      && aws_lambda_function.this.logging_config[0].system_log_level == "WARN"
    && aws_lambda_function.this.logging_config[0].log_group == "/aws/lambda/shop-222222222222-dev-hello")
    error_message = "Format, levels and the function's own group reach Lambda."
  }
}

run "more_of_lambda" {
  variables {
    release = {
      architecture = "arm64"
      runtime      = "python3.13"
      handler      = "app.handle"
      code         = { sha256 = "aHf0ny7UlJ+airBtNfDsinU5CJXnAIYpvQYSyyB5Sws=", filename = "tests/none.zip" }
    }
    layers                            = ["arn:aws:lambda:eu-central-1:222222222222:layer:shared:3"]
    provisioned_concurrent_executions = 2
    recursive_loop                    = "Allow"
    vpc                               = { subnet_ids = ["subnet-0a"], security_group_ids = ["sg-0a"] }
    file_system = {
      file_system_arn  = "arn:aws:elasticfilesystem:eu-central-1:222222222222:file-system/fs-0123456789abcdef0"
      access_point_arn = "arn:aws:elasticfilesystem:eu-central-1:222222222222:access-point/fsap-0123456789abcdef0"
      local_mount_path = "/mnt/data"
      read_only        = true
    }
  }

  assert {
    condition = (aws_lambda_function.this.architectures == tolist(["arm64"]) && aws_lambda_function.this.filename == "tests/none.zip"
    && aws_lambda_function.this.layers == tolist(["arn:aws:lambda:eu-central-1:222222222222:layer:shared:3"]))
    error_message = "A file runs as an object in S3 does, with its layers, on arm64; a version of the release is not needed."
  }

  assert {
    condition = (aws_lambda_provisioned_concurrency_config.this[0].provisioned_concurrent_executions == 2
    && aws_lambda_provisioned_concurrency_config.this[0].qualifier == "live")
    error_message = "Instances are kept ready for the alias."
  }

  assert {
    condition     = aws_lambda_function_recursion_config.this[0].recursive_loop == "Allow"
    error_message = "The circle is allowed where it is asked for."
  }

  assert {
    condition = (aws_lambda_function.this.file_system_config[0].local_mount_path == "/mnt/data"
      && aws_lambda_function.this.file_system_config[0].arn == var.file_system.access_point_arn
      && jsondecode(aws_iam_role_policy.connections[0].policy).Statement[0] == {
        Sid       = "UseFileSystem"
        Effect    = "Allow"
        Action    = ["elasticfilesystem:ClientMount"]
        Resource  = [var.file_system.file_system_arn]
        Condition = { StringEquals = { "elasticfilesystem:AccessPointArn" = var.file_system.access_point_arn } }
    })
    error_message = "The file system is mounted through its access point, and only read."
  }
}

run "snapshots" {
  command = plan

  variables {
    release = {
      runtime = "java21"
      handler = "app.Handler"
      code    = { sha256 = "aHf0ny7UlJ+airBtNfDsinU5CJXnAIYpvQYSyyB5Sws=", filename = "tests/none.zip" }
    }
    snap_start = true
  }

  assert {
    condition     = aws_lambda_function.this.snap_start[0].apply_on == "PublishedVersions"
    error_message = "Every published version is started from its snapshot."
  }
}

run "refuses_settings_that_lambda_refuses" {
  command = plan

  variables {
    memory_size                    = 64
    timeout                        = 901
    environment_variables          = { AWS_REGION = "eu-west-1" }
    log_retention_days             = 8
    log_kms_key_arn                = "arn:aws:kms:eu-central-1:222222222222:alias/logs"
    kms_key_arn                    = "arn:aws:kms:eu-central-1:222222222222:alias/lambda"
    reserved_concurrent_executions = -1
    recursive_loop                 = "Stop"
    logging_config                 = { log_format = "Text", application_log_level = "INFO" }
    layers                         = ["arn:aws:lambda:eu-central-1:222222222222:layer:shared"]
    permissions_boundary_arn       = "boundary"
    rollout                        = "manual"
    tags                           = { "aws:team" = "shop" }
    name                           = "shop hello"
  }

  expect_failures = [
    var.memory_size, var.timeout, var.environment_variables, var.log_retention_days, var.log_kms_key_arn, var.kms_key_arn, var.reserved_concurrent_executions,
    var.recursive_loop, var.logging_config, var.layers, var.permissions_boundary_arn, var.rollout, var.tags,
    var.name,
  ]
}

run "refuses_an_unknown_level" {
  command = plan

  variables {
    logging_config = { application_log_level = "LOUD" }
  }

  expect_failures = [var.logging_config]
}

run "refuses_more_ready_than_may_run" {
  command = plan

  variables {
    reserved_concurrent_executions    = 2
    provisioned_concurrent_executions = 3
  }

  expect_failures = [var.provisioned_concurrent_executions]
}

run "refuses_a_file_system_without_a_vpc" {
  command = plan

  variables {
    file_system = {
      file_system_arn  = "arn:aws:elasticfilesystem:eu-central-1:222222222222:file-system/fs-0123456789abcdef0"
      access_point_arn = "arn:aws:elasticfilesystem:eu-central-1:222222222222:access-point/fsap-0123456789abcdef0"
      local_mount_path = "/mnt/data"
    }
  }

  expect_failures = [var.file_system]
}

run "refuses_snapshots_of_other_runtimes" {
  command = plan

  variables {
    snap_start = true
  }

  expect_failures = [var.snap_start]
}

run "refuses_nothing_ready" {
  command = plan

  variables {
    provisioned_concurrent_executions = 0
  }

  expect_failures = [var.provisioned_concurrent_executions]
}

run "more_reserved_than_the_account_can" {
  command = plan

  variables {
    reserved_concurrent_executions = 50
    check_quotas                   = true
  }

  override_data {
    target = data.aws_servicequotas_service_quota.concurrency[0]
    values = { value = 149 }
  }

  expect_failures = [check.concurrency_can_be_reserved]
}

run "reserved_within_the_accounts_limit" {
  command = plan

  variables {
    reserved_concurrent_executions = 50
    check_quotas                   = true
  }

  override_data {
    target = data.aws_servicequotas_service_quota.concurrency[0]
    values = { value = 150 }
  }
}
