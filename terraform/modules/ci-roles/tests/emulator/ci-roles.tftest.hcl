# Makes the roles of one environment on an emulated AWS, then those of a second, and looks at what IAM
# keeps. Endpoint, region and credentials come from the environment.
provider "aws" {
  max_retries = 2
}

variables {
  project           = "slipway-modules"
  environments      = { dev = { github_environment = "dev" } }
  github_repository = "acme/shop"
  artifact_store    = { bucket = "slipway-modules-111111111111-artifacts" }
  tags              = { Purpose = "emulator" }
}

run "one_environment" {
  assert {
    condition     = keys(output.apply_role_arns) == ["dev"] && can(regex("^arn:aws:iam::[0-9]{12}:role/slipway/ci/slipway-modules-[0-9]{12}-dev-ci-apply$", output.apply_role_arns["dev"])) && output.plan_role_arns["dev"] != output.apply_role_arns["dev"]
    error_message = "IAM has a role that applies and one that plans."
  }

  assert {
    condition     = endswith(output.github_provider_arn, ":oidc-provider/token.actions.githubusercontent.com")
    error_message = "IAM knows GitHub's issuer."
  }

  assert {
    condition     = length(aws_iam_role_policy_attachment.this) == length(output.policies) && length(distinct([for policy in aws_iam_policy.this : policy.arn])) == length(output.policies)
    error_message = "IAM took every policy, and each hangs on a role."
  }
}

run "two_environments" {
  variables {
    environments = {
      dev  = { github_environment = "dev" }
      prod = { github_environment = "production", lock_table = "slipway-modules-locks" }
    }
    session_seconds = 7200
  }

  assert {
    condition     = output.apply_role_arns["dev"] == run.one_environment.apply_role_arns["dev"] && keys(output.boundary_arns) == ["dev", "prod"]
    error_message = "The first environment's roles stay; the second has a boundary of its own."
  }
}

run "as_iam_tells_it" {
  module {
    source = "./tests/emulator/look"
  }

  variables {
    role_arn     = run.two_environments.apply_role_arns["prod"]
    policy_arns  = { boundary = run.two_environments.boundary_arns["prod"] }
    provider_arn = run.two_environments.github_provider_arn
  }

  assert {
    condition     = output.role.max_session_duration == 7200 && output.role.tags["Purpose"] == "emulator"
    error_message = "A session lasts two hours, and the role is tagged."
  }

  assert {
    condition     = jsondecode(output.role.assume_role_policy) == jsondecode(run.two_environments.trust_policies["prod/apply"]) && jsondecode(output.role.assume_role_policy).Statement[0].Principal.Federated == output.github.arn
    error_message = "GitHub's jobs of that environment alone assume it."
  }

  assert {
    condition     = jsondecode(output.policies["boundary"].policy) == jsondecode(run.two_environments.boundaries["prod"])
    error_message = "IAM keeps the boundary word for word."
  }

  assert {
    condition     = output.github.client_id_list == tolist(["sts.amazonaws.com"])
    error_message = "GitHub's tokens are for AWS's token service."
  }
}
