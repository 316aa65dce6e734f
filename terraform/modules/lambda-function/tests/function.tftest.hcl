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
    condition     = aws_lambda_alias.live.name == "live" && aws_lambda_alias.live.function_version == "7"
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
    condition = (jsondecode(aws_iam_role_policy.logs[0].policy).Statement[0].Action == "logs:CreateLogGroup"
    && jsondecode(aws_iam_role_policy.logs[0].policy).Statement[0].Resource == aws_cloudwatch_log_group.this.arn)
    error_message = "The group may be created, that one only."
  }

  assert {
    condition = (jsondecode(aws_iam_role_policy.logs[0].policy).Statement[1].Action == ["logs:CreateLogStream", "logs:PutLogEvents"]
    && jsondecode(aws_iam_role_policy.logs[0].policy).Statement[1].Resource == "${aws_cloudwatch_log_group.this.arn}:*")
    error_message = "Events may be written to the streams of that one group."
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
