# Makes the role that publishes on an emulated AWS, and looks at what IAM keeps. Endpoint, region and credentials come from
# the environment.
provider "aws" {
  max_retries = 2
}

variables {
  project            = "slipway-modules"
  bucket             = "slipway-modules-artifacts"
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/4c1a2b3d-0000-4000-8000-000000000000"
  signing_key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/5d2b3c4e-0000-4000-8000-000000000000"
  github_repository  = "acme/shop"
  github_environment = "release"
  tags               = { Purpose = "emulator" }
}

run "made" {
  assert {
    condition     = endswith(output.role_arn, ":role/slipway/ci/${aws_iam_role.this.name}") && endswith(aws_iam_role.this.permissions_boundary, ":policy/slipway/ci/${aws_iam_role.this.name}")
    error_message = "IAM has the role below the path of CI, with its boundary."
  }
}

run "read_back" {
  module {
    source = "./tests/emulator/look"
  }

  variables {
    role   = run.made.role_arn
    policy = run.made.policy
  }

  assert {
    condition     = jsondecode(output.policy.policy) == jsondecode(run.made.policy) && jsondecode(output.role.assume_role_policy) == jsondecode(run.made.trust_policy)
    error_message = "IAM keeps what was given to it."
  }
}

run "for_another_environment" {
  variables {
    github_environment = "publish"
    github_branch      = "trunk"
  }

  assert {
    condition     = strcontains(aws_iam_role.this.assume_role_policy, "environment:publish") && output.role_arn == run.made.role_arn
    error_message = "The role stays and trusts another environment."
  }
}
