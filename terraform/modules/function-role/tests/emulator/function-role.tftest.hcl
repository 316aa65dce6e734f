# Makes a role on an emulated AWS, changes it and looks at what IAM keeps. Endpoint, region and credentials come from
# the environment.
provider "aws" {
  max_retries = 2
}

variables {
  name           = "slipway-modules-function-role"
  function_names = ["slipway-modules-function-role"]
  tags           = { Purpose = "emulator" }
}

run "logs_alone" {
  assert {
    condition     = keys(aws_iam_role_policy.this) == ["logs"]
    error_message = "The role writes its logs alone."
  }
}

run "one_policy_more" {
  variables {
    policies = {
      orders = [{ sid = "ReadOrders", actions = ["dynamodb:GetItem"], resources = ["arn:aws:dynamodb:eu-central-1:123456789012:table/orders"] }]
    }
  }

  assert {
    condition     = output.arn == run.logs_alone.arn
    error_message = "It is the same role."
  }
}

run "as_iam_tells_it" {
  module {
    source = "./tests/emulator/look"
  }

  variables {
    name = run.one_policy_more.name
  }

  assert {
    condition     = jsondecode(output.role.assume_role_policy).Statement[0].Principal.Service == "lambda.amazonaws.com" && output.role.tags["Purpose"] == "emulator"
    error_message = "Lambda alone assumes the role."
  }
}
