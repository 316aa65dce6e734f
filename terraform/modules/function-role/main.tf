data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  # Written out rather than read from aws_iam_policy_document: the statements are then known at the plan, and the
  # tests can hold them against what they must be.
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

  log_group_arns = [for function in sort(var.function_names) :
    "arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}:log-group:/aws/lambda/${function}:*"
  ]

  # No logs:CreateLogGroup: who makes the function makes the group, and lines that arrive late would make it again
  # after a destroy, without retention.
  log_policy = {
    Version = "2012-10-17"
    Statement = [
      { Sid = "CreateOwnLogStreams", Effect = "Allow", Action = "logs:CreateLogStream", Resource = local.log_group_arns },
      { Sid = "WriteOwnLogs", Effect = "Allow", Action = "logs:PutLogEvents", Resource = local.log_group_arns },
    ]
  }

  policies = merge(
    { logs = local.log_policy },
    { for name, statements in var.policies : name => {
      Version = "2012-10-17"
      Statement = [for statement in statements : {
        for key, value in {
          Sid       = statement.sid
          Effect    = statement.effect
          Action    = statement.actions
          Resource  = statement.resources
          Condition = statement.conditions
        } : key => value if value != null
      }]
    } },
  )
}

resource "aws_iam_role" "this" {
  name                 = var.name
  path                 = var.path
  description          = coalesce(var.description, "What the Lambda functions ${join(", ", sort(var.function_names))} may do")
  assume_role_policy   = jsonencode(local.trust_policy)
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "this" {
  for_each = local.policies

  name   = each.key
  role   = aws_iam_role.this.name
  policy = jsonencode(each.value)
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = var.managed_policy_arns

  role       = aws_iam_role.this.name
  policy_arn = each.value
}
