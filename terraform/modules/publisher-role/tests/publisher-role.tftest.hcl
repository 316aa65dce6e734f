mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111111111111" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-central-1" }
  }
  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::111111111111:oidc-provider/token.actions.githubusercontent.com" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::111111111111:policy/slipway/ci/any" }
  }
}

variables {
  project            = "shop"
  bucket             = "shop-111111111111-artifacts"
  kms_key_arn        = "arn:aws:kms:eu-central-1:111111111111:key/4c1a2b3d-0000-4000-8000-000000000000"
  signing_key_arn    = "arn:aws:kms:eu-central-1:111111111111:key/5d2b3c4e-0000-4000-8000-000000000000"
  repository_arns    = ["arn:aws:ecr:eu-central-1:111111111111:repository/shop/*"]
  github_repository  = "acme/shop"
  github_environment = "release"
}

run "main_in_its_environment" {
  assert {
    condition     = aws_iam_role.this.name == "shop-111111111111-publisher" && aws_iam_role.this.path == "/slipway/ci/" && aws_iam_role.this.permissions_boundary == aws_iam_policy.this.arn && aws_iam_policy.this.policy == output.policy
    error_message = "One role, below the path of CI, and bounded by what it does."
  }

  assert {
    condition = jsonencode(jsondecode(output.trust_policy).Statement) == jsonencode([{
      Sid       = "GitHubEnvironment"
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = "arn:aws:iam::111111111111:oidc-provider/token.actions.githubusercontent.com" }
      Condition = { StringEquals = {
        "token.actions.githubusercontent.com:aud" = ["sts.amazonaws.com"]
        "token.actions.githubusercontent.com:ref" = ["refs/heads/main"]
        "token.actions.githubusercontent.com:sub" = ["repo:acme/shop:environment:release"]
      } }
    }])
    error_message = "A job of main in the environment `release`, word for word, and nobody else."
  }

  assert {
    condition     = aws_iam_role.this.assume_role_policy == output.trust_policy && length(aws_iam_openid_connect_provider.github) == 1
    error_message = "What goes out is what the role has."
  }

  assert {
    condition     = sort(flatten([for statement in jsondecode(output.policy).Statement : [for action in statement.Action : action if can(regex(":(Put|Delete|Tag|Untag|Create|Update|Schedule|Disable|Abort|Restore|Replicate|Set|Bypass|\\*)", action))]])) == sort(["ecr:PutImage", "s3:AbortMultipartUpload", "s3:PutObject"])
    error_message = "It puts objects and images, and changes or deletes nothing."
  }

  assert {
    condition = jsonencode([for statement in jsondecode(output.policy).Statement : [statement.Action, statement.Resource, statement.Condition] if statement.Sid == "SignReleases"]) == jsonencode([[
      ["kms:Sign"], [var.signing_key_arn], { StringEquals = { "kms:MessageType" = ["DIGEST", "RAW"], "kms:SigningAlgorithm" = "ECDSA_SHA_256" } }
    ]])
    error_message = "It signs with the release key, by the one algorithm."
  }

  assert {
    condition     = alltrue(flatten([for statement in jsondecode(output.policy).Statement : [for resource in statement.Resource : resource != "*" || statement.Sid == "LogInToRegistry"]]))
    error_message = "Everything is named, but for the token of a registry."
  }
}

run "store_alone" {
  variables {
    repository_arns      = []
    signing_key_arn      = null
    prefix               = "shop/"
    make_github_provider = false
    github_provider_arn  = "arn:aws:iam::111111111111:oidc-provider/token.actions.githubusercontent.com"
    github_repository_id = "42"
    github_branch        = ""
  }

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : statement.Sid] == ["ListReleases", "ReadAndPublish", "EncryptReleases"] && one([for statement in jsondecode(output.policy).Statement : one(statement.Resource) if statement.Sid == "ReadAndPublish"]) == "arn:aws:s3:::shop-111111111111-artifacts/shop/*"
    error_message = "Without images and a key of KMS there is the store, below its prefix."
  }

  assert {
    condition = length(aws_iam_openid_connect_provider.github) == 0 && jsondecode(output.trust_policy).Statement[0].Condition.StringEquals == {
      "token.actions.githubusercontent.com:aud"           = ["sts.amazonaws.com"]
      "token.actions.githubusercontent.com:repository_id" = ["42"]
      "token.actions.githubusercontent.com:sub"           = ["repo:acme/shop:environment:release"]
    }
    error_message = "The repository's number is asked for; without a branch the environment's rules decide."
  }
}

run "one_jenkins_job" {
  variables {
    github_repository  = null
    github_environment = null
    jenkins = {
      provider_arn = "arn:aws:iam::111111111111:oidc-provider/jenkins.example.com/oidc"
      issuer       = "jenkins.example.com/oidc"
      audience     = "sts.amazonaws.com"
      subject      = "https://jenkins.example.com/job/shop/job/main/"
    }
  }

  assert {
    condition = jsonencode([for statement in jsondecode(output.trust_policy).Statement : [statement.Sid, statement.Condition]]) == jsonencode([["JenkinsJob", { StringEquals = {
      "jenkins.example.com/oidc:aud" = ["sts.amazonaws.com"]
      "jenkins.example.com/oidc:sub" = ["https://jenkins.example.com/job/shop/job/main/"]
    } }]])
    error_message = "The one job publishes, and nobody else."
  }

  assert {
    condition     = output.trusted_github_environment == null && output.github_provider_arn == null && length(aws_iam_openid_connect_provider.github) == 0
    error_message = "GitHub is not trusted."
  }
}

run "refuses_two_identities" {
  command = plan

  variables {
    jenkins = { provider_arn = "arn:aws:iam::111111111111:oidc-provider/jenkins.example.com", issuer = "jenkins.example.com", audience = "sts.amazonaws.com", subject = "job" }
  }

  expect_failures = [var.github_environment]
}

run "refuses_nobody" {
  command = plan

  variables {
    github_environment = null
  }

  expect_failures = [var.github_environment]
}

run "refuses_a_pattern_of_jobs" {
  command = plan

  variables {
    github_environment = null
    jenkins            = { provider_arn = "arn:aws:iam::111111111111:oidc-provider/jenkins.example.com", issuer = "jenkins.example.com", audience = "sts.amazonaws.com", subject = "https://jenkins.example.com/job/*" }
  }

  expect_failures = [var.jenkins]
}

run "refuses_a_pattern_of_branches" {
  command = plan

  variables {
    github_branch = "release/*"
  }

  expect_failures = [var.github_branch]
}

run "refuses_a_pattern_of_environments" {
  command = plan

  variables {
    github_environment = "release*"
  }

  expect_failures = [var.github_environment]
}

run "refuses_a_key_by_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:alias/shop"
  }

  expect_failures = [var.kms_key_arn]
}
