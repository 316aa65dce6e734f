# Roles that functions run as and stacks take from outside, so that whoever applies these stacks needs
# no right to make roles. What a role may do stands here once, and is the same in every environment.
locals {
  function_roles = merge([for environment, roles in var.function_roles : {
    for role in roles : "${environment}/${role}" => {
      environment = environment
      prefix      = "${local.name_prefix}-${environment}"
      name        = "${local.name_prefix}-${environment}-${role}"
      role        = role
    }
  }]...)

  arns = { for service in ["dynamodb", "logs", "secretsmanager"] :
  service => "arn:${data.aws_partition.current.partition}:${service}:${var.account.region}:${var.account.id}" }

  # By role: what it does beside writing its log. Tables with names of their own (`*_table_name` of the
  # stack) are added here, and further roles in function_role_statements.
  described_roles = merge({
    hello   = []
    invoice = []
    tracer = [
      {
        sid       = "WriteAndReadRecords"
        actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
        resources = [for table in ["traces", "spans"] : "${local.arns.dynamodb}:table/{prefix}${table}"]
      },
      {
        sid       = "ListRecords"
        actions   = ["dynamodb:Query"]
        resources = [for index in ["traces/index/by-project", "spans/index/by-trace"] : "${local.arns.dynamodb}:table/{prefix}${index}"]
      },
      {
        # Secrets Manager adds six characters to a secret's name.
        sid       = "ReadApiKeys"
        actions   = ["secretsmanager:GetSecretValue"]
        resources = ["${local.arns.secretsmanager}:secret:{prefix}tracer-api-keys-??????"]
      },
    ]
  }, var.function_role_statements)

  function_permissions = { for key, function in local.function_roles : key => [for statement in local.described_roles[function.role] : {
    Sid    = statement.sid
    Effect = "Allow"
    Action = sort(statement.actions)
    Resource = [for resource in statement.resources :
    replace(replace(replace(resource, "{prefix}", "${function.prefix}-"), "{region}", var.account.region), "{account}", var.account.id)]
  }] }
}

resource "aws_iam_role" "function" {
  for_each = local.function_roles

  name        = each.value.name
  description = "Runs the function ${each.value.role} in ${each.value.environment}"
  # Beside the Deny of ci-roles: whatever policy it gets, it does no more than a role that a deployment makes.
  permissions_boundary = module.ci_roles[0].boundary_arns[each.value.environment]
  tags                 = { Environment = each.value.environment }
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
      # Lambda for a function of this account, and for nobody else's.
      Condition = { StringEquals = { "aws:SourceAccount" = var.account.id } }
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  for_each = local.function_roles

  name = "function"
  role = aws_iam_role.function[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        # No logs:CreateLogGroup: the stack makes the group, and lines that arrive late would make it again after a destroy.
        {
          Sid      = "WriteOwnLogs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = ["${local.arns.logs}:log-group:/aws/lambda/${each.value.name}:*"]
        },
      ],
      local.function_permissions[each.key],
    )
  })
}
