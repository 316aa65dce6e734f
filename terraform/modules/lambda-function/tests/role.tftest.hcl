# A role from outside, and the bounds of the one that is made here.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "222222222222" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::222222222222:role/shop-222222222222-dev-hello" }
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

run "own_role" {
  assert {
    condition     = aws_lambda_function.this.role == aws_iam_role.this[0].arn && aws_iam_role.this[0].permissions_boundary == null
    error_message = "Without more the function gets a role of its own, with no boundary."
  }

  assert {
    condition     = output.role_arn == "arn:aws:iam::222222222222:role/shop-222222222222-dev-hello" && output.role_name == "shop-222222222222-dev-hello"
    error_message = "The role made here goes out."
  }
}

run "bounded_role" {
  variables {
    permissions_boundary_arn = "arn:aws:iam::222222222222:policy/shop-222222222222-dev-boundary"
  }

  assert {
    condition     = aws_iam_role.this[0].permissions_boundary == "arn:aws:iam::222222222222:policy/shop-222222222222-dev-boundary"
    error_message = "The boundary reaches the role."
  }
}

run "role_from_outside" {
  variables {
    role_arn      = "arn:aws:iam::222222222222:role/shop/shop-222222222222-dev-lambda"
    tracing_mode  = "Active"
    event_sources = { orders = { event_source_arn = "arn:aws:sqs:eu-central-1:222222222222:orders" } }
  }

  assert {
    condition     = aws_lambda_function.this.role == "arn:aws:iam::222222222222:role/shop/shop-222222222222-dev-lambda"
    error_message = "The function runs as the role it was given."
  }

  assert {
    condition     = length(aws_iam_role.this) + length(aws_iam_role_policy.logs) + length(aws_iam_role_policy.connections) + length(aws_iam_role_policy.extra) == 0
    error_message = "With a role from outside no role and no policy is made, whatever the function is connected to."
  }

  assert {
    condition     = output.role_arn == "arn:aws:iam::222222222222:role/shop/shop-222222222222-dev-lambda" && output.role_name == "shop-222222222222-dev-lambda"
    error_message = "The given role goes out, its name without the path."
  }
}

run "refuses_statements_for_a_role_from_outside" {
  command = plan

  variables {
    role_arn          = "arn:aws:iam::222222222222:role/shop-222222222222-dev-lambda"
    policy_statements = [{ actions = ["sqs:SendMessage"], resources = ["arn:aws:sqs:eu-central-1:222222222222:orders"] }]
  }

  expect_failures = [var.policy_statements]
}

run "refuses_a_boundary_for_a_role_from_outside" {
  command = plan

  variables {
    role_arn                 = "arn:aws:iam::222222222222:role/shop-222222222222-dev-lambda"
    permissions_boundary_arn = "arn:aws:iam::222222222222:policy/shop-222222222222-dev-boundary"
  }

  expect_failures = [var.permissions_boundary_arn]
}

run "refuses_a_role_by_name" {
  command = plan

  variables {
    role_arn = "shop-222222222222-dev-lambda"
  }

  expect_failures = [var.role_arn]
}

run "role_of_the_same_plan" {
  variables {
    make_role = false
    role_arn  = "arn:aws:iam::222222222222:role/shop-222222222222-dev-lambda"
  }

  assert {
    condition     = length(aws_iam_role.this) == 0 && length(aws_iam_role_policy.logs) == 0 && aws_lambda_function.this.role == var.role_arn
    error_message = "With make_role off nothing is made, and the role given runs the function."
  }
}

run "refuses_no_role_at_all" {
  command = plan

  variables {
    make_role = false
  }

  expect_failures = [var.make_role]
}

run "refuses_two_roles" {
  command = plan

  variables {
    make_role = true
    role_arn  = "arn:aws:iam::222222222222:role/shop-222222222222-dev-lambda"
  }

  expect_failures = [var.make_role]
}
