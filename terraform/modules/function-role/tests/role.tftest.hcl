# The real provider's schema, no AWS: what is computed takes the values given here.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "222222222222" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }
  mock_data "aws_region" {
    defaults = { id = "cn-north-1" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws-cn:iam::222222222222:role/shop-orders" }
  }
}

variables {
  name           = "shop-orders"
  function_names = ["shop-refunds", "shop-orders"]
}

run "logs_alone_by_default" {
  assert {
    condition     = keys(aws_iam_role_policy.this) == ["logs"] && length(aws_iam_role_policy_attachment.this) == 0
    error_message = "Without more the role writes its logs and does nothing else."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.this["logs"].policy).Statement == [
      for sid, action in { CreateOwnLogStreams = "logs:CreateLogStream", WriteOwnLogs = "logs:PutLogEvents" } : {
        Sid                                    = sid
        Effect                                 = "Allow"
        Action                                 = action
        Resource = [
          "arn:aws-cn:logs:cn-north-1:222222222222:log-group:/aws/lambda/shop-orders:*",
          "arn:aws-cn:logs:cn-north-1:222222222222:log-group:/aws/lambda/shop-refunds:*",
        ]
      }
    ]
    error_message = "It writes to the groups of its functions, in the partition of the account, and makes none."
  }

  assert {
    condition = (jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Principal == { Service = "lambda.amazonaws.com" }
    && jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition == { StringEquals = { "aws:SourceAccount" = "222222222222" } })
    error_message = "Lambda assumes the role, on behalf of this account only."
  }

  assert {
    condition     = output.arn == "arn:aws-cn:iam::222222222222:role/shop-orders" && output.name == "shop-orders"
    error_message = "The role goes out."
  }
}

run "policies_by_name" {
  variables {
    path                     = "/shop/functions/"
    permissions_boundary_arn = "arn:aws-cn:iam::222222222222:policy/shop-boundary"
    managed_policy_arns      = { vpc = "arn:aws-cn:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole" }
    policies = {
      orders = [{
        sid        = "ReadOrders"
        actions    = ["dynamodb:GetItem"]
        resources  = ["arn:aws-cn:dynamodb:cn-north-1:222222222222:table/orders"]
        conditions = { StringEquals = { "aws:PrincipalTag/team" = ["shop"] } }
      }]
      never = [{ effect = "Deny", actions = ["*"], resources = ["arn:aws-cn:s3:::shop-secrets/*"] }]
    }
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.this["orders"].policy).Statement == [{
      Sid       = "ReadOrders"
      Effect    = "Allow"
      Action    = ["dynamodb:GetItem"]
      Resource  = ["arn:aws-cn:dynamodb:cn-north-1:222222222222:table/orders"]
      Condition = { StringEquals = { "aws:PrincipalTag/team" = ["shop"] } }
    }]
    error_message = "The statements arrive as given."
  }

  assert {
    condition     = !contains(keys(jsondecode(aws_iam_role_policy.this["never"].policy).Statement[0]), "Sid") && jsondecode(aws_iam_role_policy.this["never"].policy).Statement[0].Effect == "Deny"
    error_message = "What was left out stays out; a refusal may be of everything."
  }

  assert {
    condition     = aws_iam_role.this.path == "/shop/functions/" && aws_iam_role.this.permissions_boundary == var.permissions_boundary_arn && aws_iam_role_policy_attachment.this["vpc"].policy_arn == var.managed_policy_arns.vpc
    error_message = "Path, boundary and managed policies reach the role."
  }
}

run "refuses_what_iam_refuses" {
  command = plan

  variables {
    name                     = "shop/orders"
    path                     = "shop"
    function_names           = []
    permissions_boundary_arn = "boundary"
    managed_policy_arns      = { all = "arn:aws:iam::aws:policy/AdministratorAccess" }
    policies                 = { orders = [] }
  }

  expect_failures = [var.name, var.path, var.function_names, var.permissions_boundary_arn, var.managed_policy_arns, var.policies]
}

run "refuses_every_action" {
  command = plan

  variables {
    policies = { all = [{ actions = ["*"], resources = ["*"] }] }
  }

  expect_failures = [var.policies]
}
