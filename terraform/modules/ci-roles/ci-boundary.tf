# The most that the roles which plan and apply may ever do, whatever policy they get: the services of a deployment, and of
# IAM the environment's own names, within the boundary.
locals {
  ci_boundaries = { for environment, prefix in local.prefixes : environment => {
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid    = "ServicesOfADeployment"
          Effect = "Allow"
          Action = [
            "apigateway:*", "budgets:*", "chatbot:*", "cloudformation:*", "cloudwatch:*", "dynamodb:*", "ec2:*", "ecr:*", "events:*", "execute-api:*",
            "iam:CreateServiceLinkedRole", "iam:Get*", "iam:List*", "kinesis:*", "kms:*", "lambda:*", "logs:*", "s3:*", "secretsmanager:*",
            "servicequotas:GetServiceQuota",
            "sns:*", "sqs:*",
          ]
          Resource = "*"
        },
        {
          Sid    = "OwnRolesAndPolicies"
          Effect = "Allow"
          # Where roles are the administrator's, they are passed and nothing else.
          Action = var.environments[environment].make_roles ? [
            "iam:Attach*", "iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:CreateRole", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:DeleteRole",
            "iam:DeleteRolePolicy", "iam:Detach*", "iam:PassRole", "iam:PutRole*", "iam:Tag*", "iam:Untag*", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole*",
          ] : ["iam:PassRole"]
          Resource = ["${local.iam}:role/${prefix}*", "${local.iam}:policy/${prefix}*"]
        },
        {
          Sid      = "ReadOtherEnvironments"
          Effect   = "Allow"
          Action   = ["sts:AssumeRole"]
          Resource = ["arn:${local.partition}:iam::*:role${local.path}${var.project}-*-ci-read"]
        },
        {
          Sid       = "RolesWithinBoundary"
          Effect    = "Deny"
          Action    = ["iam:AttachRolePolicy", "iam:CreateRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
          Resource  = "*"
          Condition = { StringNotEquals = { "iam:PermissionsBoundary" = local.boundary_arns[environment] } }
        },
        {
          Sid      = "KeepBoundaryAndCi"
          Effect   = "Deny"
          Action   = ["iam:Attach*", "iam:Create*", "iam:Delete*", "iam:Detach*", "iam:PassRole", "iam:Put*", "iam:Set*", "iam:Tag*", "iam:Untag*", "iam:Update*"]
          Resource = ["${local.iam}:role/slipway/*", "${local.iam}:policy/slipway/*", local.boundary_arns[environment]]
        },
      ],
      [for index, statement in concat(var.environments[environment].extra_statements.plan, var.environments[environment].extra_statements.apply) : {
        for key, value in {
          Sid       = "Extra${index + 1}"
          Effect    = "Allow"
          Action    = sort(statement.actions)
          Resource  = sort(statement.resources)
          Condition = statement.conditions
        } : key => value if value != null
      }],
      # What no role of CI does, whatever it is allowed.
      [for statement in local.kept_permissions[environment] : {
        for key, value in {
          Sid       = statement.sid
          Effect    = "Deny"
          Action    = statement.read
          Resource  = statement.resources
          Condition = try(statement.condition, null)
        } : key => value if value != null
      }],
    )
  } }
}
