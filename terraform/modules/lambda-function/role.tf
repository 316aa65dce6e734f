# The role that the function runs as: made here for this function alone, or taken from outside as it is.
locals {
  make_role = var.make_role == null ? var.role_arn == null : var.make_role
  role_arn  = local.make_role ? one(aws_iam_role.this[*].arn) : var.role_arn

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
      # No logs:CreateLogGroup: the group stands already, and lines that arrive late would make it again after a
      # destroy, without retention.
      {
        Sid      = "CreateOwnLogStreams"
        Effect   = "Allow"
        Action   = "logs:CreateLogStream"
        Resource = "${aws_cloudwatch_log_group.this.arn}:*"
      },
      {
        Sid      = "WriteOwnLogs"
        Effect   = "Allow"
        Action   = "logs:PutLogEvents"
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
