data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  package_type = var.release.code.image_uri == null ? "Zip" : "Image"
  make_role    = var.role_arn == null
  role_arn     = local.make_role ? one(aws_iam_role.this[*].arn) : var.role_arn

  # Written out rather than read from aws_iam_policy_document: the statements are then known at the
  # plan, and the tests can hold them against what they must be.
  trust_policy = {
    Version = "2012-10-17"
    Statement = [{
      Sid       = "LambdaOfThisAccount"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
      # The service may assume the role only on behalf of a function of this account.
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  }

  log_policy = {
    Version = "2012-10-17"
    Statement = concat([
      {
        # The runtime asks for its group before it writes. The group stands already, so this is
        # needed only where somebody deleted it; it is bound to that one group all the same.
        Sid      = "CreateOwnLogGroup"
        Effect   = "Allow"
        Action   = "logs:CreateLogGroup"
        Resource = aws_cloudwatch_log_group.this.arn
      },
      {
        Sid      = "WriteOwnLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.this.arn}:*"
      },
      ],
      # Here and not in a policy of its own: a queue of the same plan has no ARN yet, so that nothing
      # that is counted may depend on whether there is one.
      var.dead_letter_target_arn == null ? [] : [{
        Sid      = "KeepFailedCalls"
        Effect   = "Allow"
        Action   = split(":", var.dead_letter_target_arn)[2] == "sns" ? "sns:Publish" : "sqs:SendMessage"
        Resource = var.dead_letter_target_arn
      }],
    )
  }

  extra_policy = {
    Version = "2012-10-17"
    Statement = [for statement in var.policy_statements : {
      for key, value in {
        Sid       = statement.sid
        Effect    = statement.effect
        Action    = statement.actions
        Resource  = statement.resources
        Condition = statement.conditions
      } : key => value if value != null
    }]
  }
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158: CloudWatch Logs encrypts every group; what must stay secret does not belong in a log
  #checkov:skip=CKV_AWS_338: how long its logs are kept the caller decides; a year of them costs more than the function
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_iam_role" "this" {
  count = local.make_role ? 1 : 0

  name                 = var.name
  description          = "What the Lambda function ${var.name} may do"
  assume_role_policy   = jsonencode(local.trust_policy)
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "logs" {
  count = local.make_role ? 1 : 0

  name   = "logs"
  role   = aws_iam_role.this[0].name
  policy = jsonencode(local.log_policy)
}

resource "aws_iam_role_policy" "connections" {
  count = local.make_role && local.connected ? 1 : 0

  name   = "connections"
  role   = aws_iam_role.this[0].name
  policy = jsonencode({ Version = "2012-10-17", Statement = local.connection_statements })
}

resource "aws_iam_role_policy" "extra" {
  count = local.make_role && length(var.policy_statements) > 0 ? 1 : 0

  name   = "extra"
  role   = aws_iam_role.this[0].name
  policy = jsonencode(local.extra_policy)
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_115: a reserve is taken from what all functions of the account share: the caller's choice
  #checkov:skip=CKV_AWS_116: only asynchronous calls have a dead letter; the caller names its target where there are any
  #checkov:skip=CKV_AWS_117: a function that reaches AWS alone needs no network of its own; the caller joins one where it does
  #checkov:skip=CKV_AWS_173: the caller's choice; without a key of one's own the variables are encrypted with Lambda's
  #checkov:skip=CKV_AWS_272: a release is signed as a whole and checked before it is deployed; Signer would put other bytes in its place
  #checkov:skip=CKV_AWS_50: traces cost by the call; the caller switches them on with tracing_mode
  function_name = var.name
  role          = local.role_arn
  package_type  = local.package_type
  architectures = [var.release.architecture]

  s3_bucket = one(var.release.code.s3[*].bucket)
  s3_key    = one(var.release.code.s3[*].key)
  image_uri = var.release.code.image_uri

  # Lambda answers the digest of a zip as base64, which is how the release carries it: nothing is
  # hashed here. An image is named by its digest already.
  source_code_hash = local.package_type == "Zip" ? var.release.code.sha256 : null
  runtime          = local.package_type == "Zip" ? var.release.runtime : null
  handler          = local.package_type == "Zip" ? var.release.handler : null

  memory_size                    = var.memory_size
  timeout                        = var.timeout
  reserved_concurrent_executions = var.reserved_concurrent_executions
  kms_key_arn                    = var.kms_key_arn

  # Every change of code or configuration becomes an immutable version that serves nobody yet.
  publish = true

  # Written out at their defaults too: left out, the provider would keep what was set before.
  tracing_config {
    mode = var.tracing_mode
  }

  ephemeral_storage {
    size = var.ephemeral_storage_mb
  }

  dynamic "dead_letter_config" {
    for_each = var.dead_letter_target_arn == null ? [] : [var.dead_letter_target_arn]

    content {
      target_arn = dead_letter_config.value
    }
  }

  dynamic "vpc_config" {
    for_each = var.vpc == null ? [] : [var.vpc]

    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  dynamic "environment" {
    for_each = length(var.environment_variables) == 0 ? [] : [var.environment_variables]

    content {
      variables = environment.value
    }
  }

  tags = var.tags

  lifecycle {
    # Entry point and command are the image's own. Reading the function back may answer an empty
    # block, which would be a change in every plan.
    ignore_changes = [image_config]
  }

  # Before the first call: with the group missing Lambda makes one that keeps its logs for ever.
  depends_on = [
    aws_cloudwatch_log_group.this,
    aws_iam_role_policy.logs,
    aws_iam_role_policy.connections,
    aws_iam_role_policy.extra,
  ]
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "What serves; moved by Slipway once a version is verified"
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version

  lifecycle {
    # Terraform makes the alias, on the first version. From then on a rollout moves it.
    ignore_changes = [function_version, routing_config]
  }
}
