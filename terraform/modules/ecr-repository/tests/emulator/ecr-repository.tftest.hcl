# Makes a repository on an emulated AWS, changes it and looks at it. Endpoint, region and credentials
# come from the environment.
provider "aws" {
  max_retries = 2
}

variables {
  name = "slipway-modules/ecr-repository"
  tags = { Purpose = "emulator" }
}

run "made" {
  assert {
    condition     = endswith(output.arn, ":repository/slipway-modules/ecr-repository") && endswith(output.url, "/slipway-modules/ecr-repository") && strcontains(output.url, ".dkr.ecr.")
    error_message = "ECR gave the repository its ARN and its address."
  }

  assert {
    condition     = jsondecode(aws_ecr_lifecycle_policy.this[0].policy).rules[0].selection.countNumber == 14
    error_message = "ECR keeps the rule for images without a tag."
  }

  assert {
    condition     = [for statement in jsondecode(aws_ecr_repository_policy.this.policy).Statement : statement.Sid] == ["RunByLambda"]
    error_message = "Lambda alone is let in."
  }
}

run "shared_and_kept" {
  variables {
    reader_account_ids = ["444444444444"]
    untagged_days      = null
    force_delete       = true
  }

  assert {
    condition     = length(aws_ecr_lifecycle_policy.this) == 0 && output.arn == run.made.arn
    error_message = "The rule is gone, the repository is the same."
  }

  assert {
    condition     = one([for statement in jsondecode(aws_ecr_repository_policy.this.policy).Statement : statement.Principal.AWS if statement.Sid == "PulledByOtherAccounts"]) == ["arn:aws:iam::444444444444:root"]
    error_message = "ECR keeps the policy that lets the other account pull."
  }
}

run "as_ecr_tells_it" {
  module {
    source = "./tests/emulator/look"
  }

  assert {
    condition     = output.repository.image_tag_mutability == "IMMUTABLE" && output.repository.image_scanning_configuration[0].scan_on_push
    error_message = "Tags can't be moved, and images are looked at."
  }

  assert {
    condition     = output.repository.encryption_configuration[0].encryption_type == "KMS" && output.repository.tags["Purpose"] == "emulator" && output.repository.repository_url == run.made.url
    error_message = "Images are encrypted with KMS; the repository is tagged."
  }
}
