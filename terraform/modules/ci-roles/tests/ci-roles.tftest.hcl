mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "222222222222" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-central-1" }
  }
  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::222222222222:oidc-provider/token.actions.githubusercontent.com" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::222222222222:policy/any" }
  }
}

variables {
  project = "shop"
  environments = {
    dev  = { github_environment = "dev" }
    prod = { github_environment = "production", protected = true, lock_table = "shop-222222222222-prod-locks" }
  }
  github_repository = "acme/shop"
  artifact_store = {
    bucket          = "shop-111111111111-artifacts"
    kms_key_arn     = "arn:aws:kms:eu-central-1:111111111111:key/4c1a2b3d-0000-4000-8000-000000000000"
    repository_arns = ["arn:aws:ecr:eu-central-1:111111111111:repository/shop/*"]
  }
}

run "two_roles_an_environment" {
  assert {
    condition = { for key, role in aws_iam_role.this : key => role.name } == {
      "dev/apply"  = "shop-222222222222-dev-ci-apply"
      "dev/plan"   = "shop-222222222222-dev-ci-plan"
      "prod/apply" = "shop-222222222222-prod-ci-apply"
      "prod/plan"  = "shop-222222222222-prod-ci-plan"
    }
    error_message = "Each environment has a role that plans and one that applies."
  }

  assert {
    condition     = alltrue([for policy in values(output.policies) : length(policy) <= 6144])
    error_message = "IAM takes policies of 6,144 characters."
  }

  assert {
    condition     = max([for role in keys(aws_iam_role.this) : length([for key in keys(aws_iam_role_policy_attachment.this) : key if startswith(key, "${role}/")])]...) <= 10
    error_message = "IAM attaches ten policies to a role."
  }

  assert {
    condition     = alltrue([for key, attachment in aws_iam_role_policy_attachment.this : attachment.role == "shop-222222222222-${split("/", key)[0]}-ci-${split("/", key)[1]}"])
    error_message = "A policy goes to the role it was made for."
  }

  assert {
    condition     = keys(output.plan_role_arns) == ["dev", "prod"] && keys(output.apply_role_arns) == ["dev", "prod"] && keys(output.boundary_arns) == ["dev", "prod"]
    error_message = "Roles and boundaries go out by environment."
  }
}

run "github_trust" {
  assert {
    condition = jsonencode(jsondecode(output.trust_policies["dev/plan"]).Statement) == jsonencode([{
      Sid       = "GitHubActions"
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = "arn:aws:iam::222222222222:oidc-provider/token.actions.githubusercontent.com" }
      Condition = {
        StringEquals = { "token.actions.githubusercontent.com:aud" = ["sts.amazonaws.com"] }
        StringLike   = { "token.actions.githubusercontent.com:sub" = ["repo:acme/shop:*"] }
      }
    }])
    error_message = "Any job of this repository plans what is not protected."
  }

  assert {
    condition = jsonencode(jsondecode(output.trust_policies["prod/plan"]).Statement) == jsonencode([{
      Sid       = "GitHubEnvironment"
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = "arn:aws:iam::222222222222:oidc-provider/token.actions.githubusercontent.com" }
      Condition = {
        StringEquals = {
          "token.actions.githubusercontent.com:aud" = ["sts.amazonaws.com"]
          "token.actions.githubusercontent.com:ref" = ["refs/heads/main"]
          "token.actions.githubusercontent.com:sub" = ["repo:acme/shop:environment:production-plan"]
        }
      }
    }])
    error_message = "What is protected is planned by main's jobs in an environment of GitHub's alone."
  }

  assert {
    condition = jsonencode(jsondecode(output.trust_policies["prod/apply"]).Statement) == jsonencode([{
      Sid       = "GitHubEnvironment"
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = "arn:aws:iam::222222222222:oidc-provider/token.actions.githubusercontent.com" }
      Condition = {
        StringEquals = {
          "token.actions.githubusercontent.com:aud" = ["sts.amazonaws.com"]
          "token.actions.githubusercontent.com:ref" = ["refs/heads/main"]
          "token.actions.githubusercontent.com:sub" = ["repo:acme/shop:environment:production"]
        }
      }
    }])
    error_message = "Only a job of main in the environment's own GitHub environment applies, word for word."
  }

  assert {
    condition     = !strcontains(output.trust_policies["dev/apply"], ":ref\"")
    error_message = "What is not protected takes the branches that its environment on GitHub takes."
  }

  assert {
    condition = jsonencode(output.trusted_github_environments) == jsonencode({
      dev  = { repository = "acme/shop", repository_id = null, branch = "", names = ["dev"] }
      prod = { repository = "acme/shop", repository_id = null, branch = "main", names = ["production", "production-plan"] }
    })
    error_message = "Whose rules on GitHub count goes out."
  }

  assert {
    condition     = alltrue([for key, role in aws_iam_role.this : role.assume_role_policy == output.trust_policies[key]])
    error_message = "What goes out is what the roles have."
  }

  assert {
    condition     = aws_iam_openid_connect_provider.github[0].url == "https://token.actions.githubusercontent.com" && aws_iam_openid_connect_provider.github[0].client_id_list == toset(["sts.amazonaws.com"]) && output.github_provider_arn == aws_iam_openid_connect_provider.github[0].arn
    error_message = "The provider is GitHub's, for tokens meant for AWS."
  }
}

run "planning_changes_nothing" {
  assert {
    condition = alltrue(flatten([for key, policy in output.policies : [for statement in jsondecode(policy).Statement : [for action in statement.Action :
      can(regex("^[a-z0-9-]+:(BatchCheck|BatchGet|Describe|Get|GET|List|View)", action))
    ] if statement.Effect == "Allow" && !contains(["DecryptArtifacts", "DecryptLockTable", "EncryptState", "WritePlans"], statement.Sid)] if strcontains(key, "/plan/")]))
    error_message = "Besides writing a plan and decrypting what it reads a plan changes nothing."
  }

  assert {
    condition = [for statement in jsondecode(output.policies["dev/plan/state"]).Statement : [statement.Action, statement.Resource] if contains(statement.Action, "s3:PutObject")] == [[
      ["s3:AbortMultipartUpload", "s3:PutObject"], ["arn:aws:s3:::shop-222222222222-dev-state/plans/*"]
    ]]
    error_message = "It writes plans and nothing else of the state's bucket: no lock, no ledger, no archive."
  }

  assert {
    condition     = !anytrue([for statement in jsondecode(output.policies["prod/plan/state"]).Statement : anytrue([for action in ["dynamodb:PutItem", "dynamodb:DeleteItem", "s3:DeleteObject"] : contains(statement.Action, action)])])
    error_message = "It takes no lock, and takes none away."
  }

  assert {
    condition = toset(flatten([for statement in jsondecode(output.policies["prod/plan/state"]).Statement : statement.Resource if contains(statement.Action, "s3:GetObject")])) == toset([
      for key in ["*.tfstate", "*.tfstate.tflock", "ledger/*", "leases/*", "plans/*", "configurations/*"] : "arn:aws:s3:::shop-222222222222-prod-state/${key}"
    ])
    error_message = "It reads what a plan is made of and what was applied, from which drift differs; no archive."
  }

  assert {
    condition     = !anytrue([for key, policy in output.policies : strcontains(policy, "FilterLogEvents") if strcontains(key, "/plan/")])
    error_message = "It reads no function's log."
  }

  assert {
    condition     = !anytrue([for key, policy in output.policies : strcontains(policy, "secretsmanager:GetSecretValue") if strcontains(key, "/plan/")])
    error_message = "Whoever opens a pull request reads no secret, unless asked for."
  }

  assert {
    condition     = !anytrue([for key, policy in output.policies : strcontains(policy, "iam:PassRole") || strcontains(policy, "lambda:Invoke") if strcontains(key, "/plan/")])
    error_message = "It passes no role and calls no function."
  }
}

run "environments_apart" {
  assert {
    condition     = !anytrue([for key, policy in merge(output.policies, { for environment, boundary in output.boundaries : "${environment}/boundary" => boundary }) : strcontains(policy, startswith(key, "dev/") ? "-prod-" : "-dev-")])
    error_message = "No policy of one environment names what is another's."
  }

  assert {
    condition = alltrue([for role in ["plan", "apply"] : { for statement in jsondecode(output.policies["dev/${role}/artifacts"]).Statement : statement.Sid => [statement.Action, statement.Resource] if contains(["Quotas", "PoliciesOfCiRoles"], statement.Sid) } == {
      Quotas            = [["ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "iam:GetAccountSummary", "lambda:GetAccountSettings", "servicequotas:GetServiceQuota"], ["*"]]
      PoliciesOfCiRoles = [["iam:ListAttachedRolePolicies"], ["arn:aws:iam::222222222222:role/slipway/ci/shop-222222222222-dev-ci-*"]]
    }])
    error_message = "An account's quotas are read before anything is made: doctor --env."
  }

  assert {
    condition     = strcontains(output.policies["prod/apply/state"], "table/shop-222222222222-prod-locks") && !strcontains(output.policies["dev/apply/state"], ":table/")
    error_message = "A lock table is reached where there is one."
  }

  assert {
    condition = alltrue([for role in ["plan", "apply"] : [for statement in jsondecode(output.policies["prod/${role}/state"]).Statement : [statement.Action, statement.Condition] if statement.Sid == "DecryptLockTable"] == [[["kms:Decrypt"], {
      "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = "alias/shop-222222222222-prod-state" }
      StringEquals               = { "kms:ViaService" = "dynamodb.eu-central-1.amazonaws.com" }
    }]]])
    error_message = "The table is encrypted with the bucket's key, and opened through DynamoDB alone."
  }
}

run "applying_is_bounded" {
  assert {
    condition     = alltrue(flatten([for policy in values(output.policies) : [for statement in jsondecode(policy).Statement : [for action in statement.Action : !strcontains(action, "*") || action == "s3:GetBucket*"] if statement.Effect == "Allow"]]))
    error_message = "Actions are named one by one."
  }

  assert {
    condition = toset(flatten([for key, policy in output.policies : [for statement in jsondecode(policy).Statement : statement.Sid
      if statement.Effect == "Allow" && statement.Resource == ["*"] && !can(statement.Condition) && anytrue([for action in statement.Action : !can(regex("^[a-z0-9-]+:(Describe|Get|List)", action))])
    ]])) == toset(["FindChat", "LogsOfTheAccount", "StreamsOfTheAccount", "Subscriptions"])
    error_message = "What changes something is bound to names or tags, but for what AWS asks no resource for."
  }

  assert {
    condition = alltrue(flatten([for key, policy in output.policies : [for statement in jsondecode(policy).Statement : [for resource in statement.Resource :
      strcontains(resource, "shop-222222222222-dev-") || startswith(resource, "arn:aws:s3:::shop-111111111111-artifacts")
    ] if statement.Effect == "Allow" && can(regex(":(iam|dynamodb|s3|kinesis|secretsmanager|sqs|sns|cloudformation|budgets|events):", statement.Resource[0])) && statement.Sid != "ServiceLinkedRoles"] if startswith(key, "dev/")]))
    error_message = "Where a service knows names, the environment's prefix bounds them."
  }
}

run "roles_within_the_boundary" {
  assert {
    condition = one([for statement in jsondecode(output.policies["dev/apply/identity"]).Statement : jsonencode([statement.Action, statement.Resource, statement.Condition]) if contains(statement.Action, "iam:CreateRole")]) == jsonencode([
      ["iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"],
      ["arn:aws:iam::222222222222:role/shop-222222222222-dev-*"],
      { StringEquals = { "iam:PermissionsBoundary" = "arn:aws:iam::222222222222:policy/shop-222222222222-dev-boundary" } },
    ])
    error_message = "A role is made, and given permissions, under the prefix and with the boundary only."
  }

  assert {
    condition = one([for statement in jsondecode(output.policies["dev/apply/identity"]).Statement : jsonencode([statement.Resource, statement.Condition]) if contains(statement.Action, "iam:AttachRolePolicy")]) == jsonencode([
      ["arn:aws:iam::222222222222:role/shop-222222222222-dev-*"],
      {
        ArnLike      = { "iam:PolicyARN" = "arn:aws:iam::222222222222:policy/shop-222222222222-dev-*" }
        StringEquals = { "iam:PermissionsBoundary" = "arn:aws:iam::222222222222:policy/shop-222222222222-dev-boundary" }
      },
    ])
    error_message = "Only the environment's own policies are attached."
  }

  assert {
    condition = one([for statement in jsondecode(output.policies["dev/apply/identity"]).Statement : jsonencode([statement.Resource, statement.Condition]) if statement.Action == ["iam:PassRole"]]) == jsonencode([
      ["arn:aws:iam::222222222222:role/shop-222222222222-dev-*"],
      { StringEquals = { "iam:PassedToService" = ["chatbot.amazonaws.com", "lambda.amazonaws.com", "vpc-flow-logs.amazonaws.com"] } },
    ])
    error_message = "The environment's roles are passed, to the services that run them."
  }

  assert {
    condition = (one([for statement in jsondecode(output.policies["dev/apply/identity"]).Statement : jsonencode([statement.Effect, statement.Resource]) if statement.Sid == "KeepBoundaryAndCi"]) == jsonencode(["Deny", [
      "arn:aws:iam::222222222222:role/slipway/*",
      "arn:aws:iam::222222222222:policy/slipway/*",
      "arn:aws:iam::222222222222:policy/shop-222222222222-*-boundary",
      "arn:aws:iam::222222222222:role/shop-222222222222-dev-ci-*",
      "arn:aws:iam::222222222222:policy/shop-222222222222-dev-ci-*",
      ]])
      && alltrue([for action in ["iam:Attach*", "iam:Create*", "iam:Delete*", "iam:Detach*", "iam:PassRole", "iam:Put*", "iam:Set*", "iam:Update*"] :
    contains(one([for statement in jsondecode(output.policies["dev/apply/identity"]).Statement : statement.Action if statement.Sid == "KeepBoundaryAndCi"]), action)]))
    error_message = "A deployment changes neither the boundary nor what it may do itself."
  }

  assert {
    condition     = one([for statement in jsondecode(output.policies["dev/apply/identity"]).Statement : "${statement.Effect} ${statement.Resource[0]}" if contains(statement.Action, "iam:DeleteRolePermissionsBoundary")]) == "Deny *"
    error_message = "No boundary is taken off a role."
  }

  assert {
    condition     = aws_iam_policy.boundary["dev"].name == "shop-222222222222-dev-boundary" && aws_iam_policy.boundary["dev"].policy == output.boundaries["dev"]
    error_message = "The boundary is the policy that the conditions name."
  }

  assert {
    condition = !anytrue(flatten([for statement in jsondecode(output.boundaries["dev"]).Statement : [for action in flatten([statement.Action]) :
    can(regex("^(iam|sts|organizations):", action)) || can(regex(":(Put|Create|Delete)(Bucket|Table|Function|Key)", action))] if statement.Effect == "Allow"]))
    error_message = "Within the boundary data is used; nothing is made, and nothing of IAM is touched."
  }

  assert {
    condition     = one([for statement in jsondecode(output.boundaries["dev"]).Statement : jsonencode(statement.Resource) if statement.Effect == "Deny"]) == jsonencode(["arn:aws:s3:::shop-222222222222-dev-state", "arn:aws:s3:::shop-222222222222-dev-state/*"])
    error_message = "No function reads the state."
  }
}

run "state_and_keys_are_kept" {
  assert {
    condition     = toset([for statement in jsondecode(output.policies["prod/apply/state"]).Statement : statement.Sid if statement.Effect == "Deny"]) == toset(["KeepLockTable", "KeepStateBucket"])
    error_message = "Neither the state bucket nor the lock table is changed, though they are named alike."
  }

  assert {
    condition = (one([for statement in jsondecode(output.policies["prod/apply/data"]).Statement : statement.Resource if statement.Sid == "KeepStateAndLedger"]) == [
      "arn:aws:s3:::shop-222222222222-prod-state/*.tfstate", "arn:aws:s3:::shop-222222222222-prod-state/archive/*", "arn:aws:s3:::shop-222222222222-prod-state/*/archive/*",
      "arn:aws:s3:::shop-222222222222-prod-state/configurations/*", "arn:aws:s3:::shop-222222222222-prod-state/*/configurations/*",
      "arn:aws:s3:::shop-222222222222-prod-state/ledger/*", "arn:aws:s3:::shop-222222222222-prod-state/*/ledger/*",
      ]
    && one([for statement in jsondecode(output.policies["prod/apply/data"]).Statement : statement.Effect if statement.Sid == "KeepStateAndLedger"]) == "Deny")
    error_message = "States and ledger are written and never deleted."
  }

  assert {
    condition = one([for statement in jsondecode(output.policies["prod/apply/state"]).Statement : jsonencode(statement.Condition) if statement.Sid == "EncryptState"]) == jsonencode({
      "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = "alias/shop-222222222222-prod-state" }
      StringEquals               = { "kms:ViaService" = "s3.eu-central-1.amazonaws.com" }
    })
    error_message = "The state's key is known by its alias and used through S3."
  }

  assert {
    condition = one([for statement in jsondecode(output.policies["prod/apply/keys"]).Statement : jsonencode(statement.Condition) if statement.Sid == "Keys"]) == jsonencode({
      "ForAllValues:StringNotEquals" = { "kms:ResourceAliases" = ["alias/shop-222222222222-prod-state", "alias/shop-111111111111-artifacts"] }
      StringEquals                   = { "aws:ResourceTag/Environment" = "prod", "aws:ResourceTag/Project" = "shop" }
    })
    error_message = "Keys with the environment's tags are administered, but for the state's and the store's."
  }

  assert {
    condition     = alltrue(flatten([for statement in jsondecode(output.policies["dev/apply/artifacts"]).Statement : [for action in statement.Action : can(regex(":(BatchCheck|BatchGet|Decrypt|Describe|Get|List)", action))]]))
    error_message = "The artifact store is read only."
  }
}

run "provider_of_the_account" {
  variables {
    make_github_provider = false
    github_provider_arn  = "arn:aws:iam::222222222222:oidc-provider/token.actions.githubusercontent.com"
    environments         = { dev = { github_branches = ["main", "release/1"], state_bucket = "shop-state-of-dev", plan_reads_secrets = true } }
    artifact_store       = { bucket = "shop-111111111111-artifacts" }
    session_seconds      = 7200
    tags                 = { Team = "shop" }
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0 && jsondecode(output.trust_policies["dev/apply"]).Statement[0].Principal.Federated == "arn:aws:iam::222222222222:oidc-provider/token.actions.githubusercontent.com"
    error_message = "A given provider is used and none is made."
  }

  assert {
    condition     = jsondecode(output.trust_policies["dev/apply"]).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == ["repo:acme/shop:ref:refs/heads/main", "repo:acme/shop:ref:refs/heads/release/1"]
    error_message = "Branches apply where they are named."
  }

  assert {
    condition     = strcontains(output.policies["dev/apply/state"], "arn:aws:s3:::shop-state-of-dev/ledger/*") && strcontains(output.policies["dev/apply/state"], "alias/shop-state-of-dev")
    error_message = "A state bucket of another name is reached by that name."
  }

  assert {
    condition     = length([for statement in jsondecode(output.policies["dev/plan/data"]).Statement : statement if contains(statement.Action, "secretsmanager:GetSecretValue")]) == 1 && strcontains(output.policies["dev/plan/keys"], "kms:Decrypt")
    error_message = "Where it is asked for a plan reads the secrets' values."
  }

  assert {
    condition     = !strcontains(output.policies["dev/plan/artifacts"], "kms:") && !strcontains(output.policies["dev/plan/artifacts"], "ecr:")
    error_message = "A store without a key of its own and without images brings no statement for them."
  }

  assert {
    condition     = alltrue([for role in aws_iam_role.this : role.max_session_duration == 7200 && role.tags == tomap({ Team = "shop" })]) && alltrue([for policy in aws_iam_policy.this : policy.tags == tomap({ Team = "shop" })]) && aws_iam_policy.boundary["dev"].tags == tomap({ Team = "shop" })
    error_message = "Session and tags reach the roles, tags the policies."
  }
}

run "jenkins_alone" {
  variables {
    github_repository = null
    environments = {
      dev = { jenkins = {
        plan_role_arns  = ["arn:aws:iam::111111111111:role/jenkins-agent"]
        apply_role_arns = ["arn:aws:iam::111111111111:role/jenkins-release"]
        external_id     = "shop-dev"
        plan_subjects   = ["https://jenkins.example.com/job/shop/*"]
        apply_subjects  = ["https://jenkins.example.com/job/shop/job/main/"]
      } }
    }
    jenkins_issuer = {
      provider_arn = "arn:aws:iam::222222222222:oidc-provider/jenkins.example.com/oidc"
      issuer       = "jenkins.example.com/oidc"
      audience     = "sts.amazonaws.com"
    }
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0 && output.github_provider_arn == null
    error_message = "Without a repository GitHub is not trusted."
  }

  assert {
    condition = jsonencode(jsondecode(output.trust_policies["dev/apply"]).Statement) == jsonencode([
      {
        Sid       = "JenkinsRole"
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { AWS = ["arn:aws:iam::111111111111:role/jenkins-release"] }
        Condition = { StringEquals = { "sts:ExternalId" = "shop-dev" } }
      },
      {
        Sid       = "JenkinsJobs"
        Effect    = "Allow"
        Action    = "sts:AssumeRoleWithWebIdentity"
        Principal = { Federated = "arn:aws:iam::222222222222:oidc-provider/jenkins.example.com/oidc" }
        Condition = { StringEquals = {
          "jenkins.example.com/oidc:aud" = ["sts.amazonaws.com"]
          "jenkins.example.com/oidc:sub" = ["https://jenkins.example.com/job/shop/job/main/"]
        } }
      },
    ])
    error_message = "One role and one job apply."
  }

  assert {
    condition = (jsonencode(jsondecode(output.trust_policies["dev/plan"]).Statement[0].Principal) == jsonencode({ AWS = ["arn:aws:iam::111111111111:role/jenkins-agent"] })
      && jsonencode(jsondecode(output.trust_policies["dev/plan"]).Statement[1].Condition) == jsonencode({
        StringEquals = { "jenkins.example.com/oidc:aud" = ["sts.amazonaws.com"] }
        StringLike   = { "jenkins.example.com/oidc:sub" = ["https://jenkins.example.com/job/shop/*"] }
    }))
    error_message = "Every job of the project plans."
  }
}

run "identities_of_ci_have_a_path_and_a_boundary" {
  assert {
    condition     = alltrue([for role in aws_iam_role.this : role.path == "/slipway/ci/" && role.permissions_boundary == "arn:aws:iam::222222222222:policy/any"]) && alltrue([for policy in aws_iam_policy.this : policy.path == "/slipway/ci/"])
    error_message = "No pattern of an environment's names reaches them, and each has a boundary."
  }

  assert {
    condition     = alltrue([for boundary in values(output.ci_boundaries) : length(boundary) <= 6144]) && aws_iam_policy.ci_boundary["dev"].policy == output.ci_boundaries["dev"]
    error_message = "IAM takes policies of 6,144 characters."
  }

  assert {
    condition = !anytrue(flatten([for statement in jsondecode(output.ci_boundaries["dev"]).Statement : [for action in statement.Action :
    can(regex("^(iam:(\\*|Create\\*|.*User|.*AccessKey|.*Group)|sts|organizations)", action))] if statement.Effect == "Allow" && statement.Sid != "ReadOtherEnvironments"]))
    error_message = "Within the boundary nobody makes a user, or a role of another name."
  }
}

run "keys_and_store_are_kept" {
  variables {
    artifact_store = { bucket = "shop-111111111111-artifacts", signing_alias = "alias/shop-release", repository_arns = ["arn:aws:ecr:eu-central-1:111111111111:repository/shop/*"] }
  }

  assert {
    condition = alltrue([for role in ["plan", "apply"] : [for statement in jsondecode(output.policies["prod/${role}/kept"]).Statement : "${statement.Effect} ${statement.Sid}"] == [
      for sid in ["NeverSign", "KeepKeys", "KeepKeysOfTheStore", "KeepAliases", "KeepStore", "KeepArchive", "KeepFolders", "KeepImages"] : "Deny ${sid}"
    ]])
    error_message = "Neither role signs, publishes, or has the keys and the store."
  }

  assert {
    condition = one([for statement in jsondecode(output.policies["prod/apply/kept"]).Statement : jsonencode(statement.Condition) if statement.Sid == "KeepKeys"]) == jsonencode({
      "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = ["alias/shop-222222222222-prod-state", "alias/shop-111111111111-artifacts", "alias/shop-release"] }
    })
    error_message = "The keys of the state, the store and the releases, by their aliases."
  }

  assert {
    condition = [for statement in jsondecode(output.policies["prod/apply/keys"]).Statement : jsonencode(statement.Condition) if contains(statement.Action, "kms:TagResource")] == [
      jsonencode({
        Null         = { "aws:ResourceTag/Environment" = "true", "aws:ResourceTag/Project" = "true", "kms:ResourceAliases" = "true" }
        StringEquals = { "aws:RequestTag/Environment" = "prod", "aws:RequestTag/Project" = "shop" }
      }),
      jsonencode({
        StringEquals         = { "aws:ResourceTag/Environment" = "prod", "aws:ResourceTag/Project" = "shop" }
        StringEqualsIfExists = { "aws:RequestTag/Environment" = "prod", "aws:RequestTag/Project" = "shop" }
      }),
    ]
    error_message = "A key that has a project or an alias does not become the environment's by a tag."
  }
}

run "function_roles_are_kept" {
  variables {
    environments = { dev = { github_environment = "dev", function_roles = ["tracer"] } }
  }

  assert {
    condition     = one([for statement in jsondecode(output.policies["dev/apply/identity"]).Statement : "${statement.Effect} ${one(statement.Resource)}" if statement.Sid == "KeepFunctionRoles"]) == "Deny arn:aws:iam::222222222222:role/shop-222222222222-dev-tracer"
    error_message = "A role that the administrator made for a function is not changed by a deployment."
  }

  assert {
    condition     = !anytrue([for statement in jsondecode(output.policies["dev/apply/identity"]).Statement : contains(statement.Action, "iam:PassRole") if statement.Sid == "KeepFunctionRoles"])
    error_message = "It is passed to the function."
  }
}

run "bound_to_a_branch_and_a_repositorys_number" {
  variables {
    github_repository_id = "123456789"
    environments         = { dev = { github_environment = "dev", github_branch = "trunk" }, prod = { github_environment = "prod", protected = true, github_plan_environment = "look", github_branch = "", github_branches = ["main"] } }
  }

  assert {
    condition = jsondecode(output.trust_policies["dev/apply"]).Statement[0].Condition.StringEquals == {
      "token.actions.githubusercontent.com:aud"           = ["sts.amazonaws.com"]
      "token.actions.githubusercontent.com:ref"           = ["refs/heads/trunk"]
      "token.actions.githubusercontent.com:repository_id" = ["123456789"]
      "token.actions.githubusercontent.com:sub"           = ["repo:acme/shop:environment:dev"]
    }
    error_message = "The branch and the repository are those that were named."
  }

  assert {
    condition = [for statement in jsondecode(output.trust_policies["prod/plan"]).Statement : statement.Condition.StringEquals["token.actions.githubusercontent.com:sub"]] == [
      ["repo:acme/shop:ref:refs/heads/main"], ["repo:acme/shop:environment:look"],
    ] && !strcontains(output.trust_policies["prod/plan"], ":ref\"")
    error_message = "The environment of plans has the name that was given, and branches plan where they apply."
  }
}

run "a_bucket_that_projects_share" {
  variables {
    environments = { dev = { github_environment = "dev", state_bucket = "shared", state_prefix = "shop/" } }
  }

  assert {
    condition = alltrue(flatten([for statement in jsondecode(output.policies["dev/apply/state"]).Statement : [for resource in statement.Resource :
    startswith(resource, "arn:aws:s3:::shared/shop/")] if statement.Effect == "Allow" && anytrue([for action in statement.Action : can(regex("Object", action))])]))
    error_message = "Nothing of another project is read or written."
  }

  assert {
    condition     = one([for statement in jsondecode(output.policies["dev/apply/kept"]).Statement : statement.Resource if statement.Sid == "KeepFolders"]) == ["arn:aws:s3:::shared/shop/*/*.tfstate", "arn:aws:s3:::shared/shop/*/*.tflock"]
    error_message = "States and locks are in no folder."
  }
}

run "refuses_an_environment_that_begins_another" {
  command = plan

  variables {
    environments = { dev = { github_environment = "dev" }, dev-eu = { github_environment = "dev-eu" } }
  }

  expect_failures = [var.environments]
}

run "refuses_an_environment_called_bootstrap" {
  command = plan

  variables {
    environments = { bootstrap = { github_environment = "bootstrap" } }
  }

  expect_failures = [var.environments]
}

run "refuses_a_pattern_of_jobs_that_plan_what_is_protected" {
  command = plan

  variables {
    environments   = { prod = { protected = true, jenkins = { plan_subjects = ["https://jenkins.example.com/job/*"], apply_subjects = ["https://jenkins.example.com/job/shop/"] } } }
    jenkins_issuer = { provider_arn = "arn:aws:iam::222222222222:oidc-provider/jenkins.example.com", issuer = "jenkins.example.com", audience = "sts.amazonaws.com" }
  }

  expect_failures = [var.environments]
}

run "refuses_a_pattern_of_branches_of_an_environment" {
  command = plan

  variables {
    environments = { dev = { github_environment = "dev", github_branch = "release/*" } }
  }

  expect_failures = [var.environments]
}

run "refuses_a_repositorys_name_as_its_number" {
  command = plan

  variables {
    github_repository_id = "acme"
  }

  expect_failures = [var.github_repository_id]
}

run "refuses_a_project_in_capitals" {
  command = plan

  variables {
    project = "Shop"
  }

  expect_failures = [var.project]
}

run "refuses_no_environment" {
  command = plan

  variables {
    environments = {}
  }

  expect_failures = [var.environments]
}

run "refuses_a_pattern_of_branches" {
  command = plan

  variables {
    environments = { dev = { github_branches = ["release/*"] } }
  }

  expect_failures = [var.environments]
}

run "refuses_a_pattern_of_github_environments" {
  command = plan

  variables {
    environments = { dev = { github_environment = "dev*" } }
  }

  expect_failures = [var.environments]
}

run "refuses_an_account_as_jenkins" {
  command = plan

  variables {
    environments = { dev = { jenkins = { apply_role_arns = ["arn:aws:iam::111111111111:root"], external_id = "shop" } } }
  }

  expect_failures = [var.environments]
}

run "refuses_a_jenkins_role_without_external_id" {
  command = plan

  variables {
    environments = { dev = { jenkins = { apply_role_arns = ["arn:aws:iam::111111111111:role/jenkins"] } } }
  }

  expect_failures = [var.environments]
}

run "refuses_a_pattern_of_applying_jobs" {
  command = plan

  variables {
    environments   = { dev = { jenkins = { apply_subjects = ["https://jenkins.example.com/job/*"] } } }
    jenkins_issuer = { provider_arn = "arn:aws:iam::222222222222:oidc-provider/jenkins.example.com", issuer = "jenkins.example.com", audience = "sts.amazonaws.com" }
  }

  expect_failures = [var.environments]
}

run "refuses_subjects_without_an_issuer" {
  command = plan

  variables {
    environments = { dev = { jenkins = { apply_subjects = ["https://jenkins.example.com/job/shop/"] } } }
  }

  expect_failures = [var.environments]
}

run "refuses_a_github_environment_without_a_repository" {
  command = plan

  variables {
    github_repository = null
  }

  expect_failures = [var.environments]
}

run "refuses_an_environment_that_nobody_applies" {
  command = plan

  variables {
    environments = { dev = {} }
  }

  expect_failures = [var.environments]
}

run "refuses_a_pattern_of_repositories" {
  command = plan

  variables {
    github_repository = "acme/*"
  }

  expect_failures = [var.github_repository]
}

run "refuses_two_providers" {
  command = plan

  variables {
    github_provider_arn = "arn:aws:iam::222222222222:oidc-provider/token.actions.githubusercontent.com"
  }

  expect_failures = [var.github_provider_arn]
}

run "nobody_reads_an_environment_by_default" {
  command = plan

  assert {
    condition     = output.read_role_arns == {} && length(aws_iam_role.read) == 0
    error_message = "Without readers there is no role that reads."
  }
}

run "readers_are_named" {
  variables {
    environments = {
      dev = {
        github_environment = "dev"
        read_by            = ["arn:aws:iam::333333333333:role/slipway/ci/shop-333333333333-staging-ci-plan"]
        reader_role_arns   = ["arn:aws:iam::111111111111:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Developer_0123456789abcdef"]
      }
      prod = { github_environment = "production", protected = true, reads = ["arn:aws:iam::333333333333:role/slipway/ci/shop-333333333333-staging-ci-read"] }
    }
  }

  assert {
    condition     = { for environment, role in aws_iam_role.read : environment => role.name } == { dev = "shop-222222222222-dev-ci-read" }
    error_message = "An environment that somebody reads has a role for it."
  }

  assert {
    condition = jsonencode(jsondecode(output.trust_policies["dev/read"]).Statement) == jsonencode([{
      Sid       = "Readers"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = ["arn:aws:iam::111111111111:root", "arn:aws:iam::333333333333:root"] }
      Condition = { ArnEquals = { "aws:PrincipalArn" = [
        "arn:aws:iam::111111111111:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Developer_0123456789abcdef",
        "arn:aws:iam::333333333333:role/slipway/ci/shop-333333333333-staging-ci-plan",
      ] } }
    }])
    error_message = "Who reads is known by the ARNs of roles, word for word."
  }

  assert {
    condition = alltrue(flatten([for statement in jsondecode(output.policies["dev/read/reading"]).Statement : [for action in statement.Action :
      can(regex("^(s3|lambda):(Get|List)|^kms:(Decrypt|DescribeKey)$|^ecr:(Batch(Check|Get)|Describe|Get|List)|^ec2:Describe(AccountAttributes|Addresses)$|^iam:(GetAccountSummary|ListAttachedRolePolicies)$|^servicequotas:GetServiceQuota$", action)) && action != "lambda:GetFunction"
    ]]))
    error_message = "Who reads changes nothing, and gets no code."
  }

  assert {
    condition     = !anytrue([for statement in jsondecode(output.policies["dev/read/reading"]).Statement : anytrue([for resource in statement.Resource : endswith(resource, ".tfstate") || strcontains(resource, "plans/") || endswith(resource, "state/*")])])
    error_message = "States and saved plans have the values of secrets."
  }

  assert {
    condition = [for key in ["dev/plan", "dev/apply", "prod/plan", "prod/apply"] : [for statement in jsondecode(output.policies["${key}/artifacts"]).Statement : statement.Resource if contains(statement.Action, "sts:AssumeRole")]] == [
      [], [],
      [["arn:aws:iam::333333333333:role/slipway/ci/shop-333333333333-staging-ci-read"]],
      [["arn:aws:iam::333333333333:role/slipway/ci/shop-333333333333-staging-ci-read"]],
    ]
    error_message = "Who promotes from an environment assumes the role that reads it, and no other."
  }
}

run "refuses_a_reader_by_pattern" {
  command = plan

  variables {
    environments = { dev = { github_environment = "dev", reader_role_arns = ["arn:aws:iam::333333333333:role/*"] } }
  }

  expect_failures = [var.environments]
}

run "refuses_another_issuer_than_the_providers" {
  command = plan

  variables {
    jenkins_issuer = { provider_arn = "arn:aws:iam::222222222222:oidc-provider/jenkins.example.com", issuer = "https://jenkins.example.com", audience = "sts.amazonaws.com" }
  }

  expect_failures = [var.jenkins_issuer]
}

run "refuses_a_key_by_alias" {
  command = plan

  variables {
    artifact_store = { bucket = "shop-111111111111-artifacts", kms_key_arn = "alias/shop-111111111111-artifacts" }
  }

  expect_failures = [var.artifact_store]
}

run "refuses_a_registry_by_address" {
  command = plan

  variables {
    artifact_store = { bucket = "shop-111111111111-artifacts", repository_arns = ["111111111111.dkr.ecr.eu-central-1.amazonaws.com/shop"] }
  }

  expect_failures = [var.artifact_store]
}

run "refuses_a_session_of_a_day" {
  command = plan

  variables {
    session_seconds = 86400
  }

  expect_failures = [var.session_seconds]
}

run "guardduty_is_the_accounts" {
  assert {
    condition     = !anytrue([for policy in concat(values(output.policies), values(output.ci_boundaries)) : strcontains(policy, "guardduty")])
    error_message = "No role of CI reads, makes or stops the account's detector."
  }
}

run "lambdas_interfaces_can_be_deleted" {
  assert {
    condition = one([for statement in jsondecode(output.policies["dev/apply/network"]).Statement : jsonencode([statement.Action, statement.Resource, statement.Condition]) if statement.Sid == "LambdaInterfaces"]) == jsonencode([
      ["ec2:DeleteNetworkInterface", "ec2:DetachNetworkInterface"],
      ["arn:aws:ec2:eu-central-1:222222222222:network-interface/*"],
      { Null = { "aws:ResourceTag/Environment" = "true", "aws:ResourceTag/Project" = "true" } },
    ])
    error_message = "What carries no tags is what Lambda made."
  }

  assert {
    condition     = !strcontains(output.policies["dev/plan/network"], "DeleteNetworkInterface")
    error_message = "A plan deletes none."
  }
}

run "roles_are_the_administrators" {
  variables {
    environments = { dev = { github_environment = "dev", make_roles = false, function_roles = ["tracer"] } }
  }

  assert {
    condition = toset(flatten([for key, policy in output.policies : [for statement in jsondecode(policy).Statement : [for action in statement.Action : action if startswith(action, "iam:") && !can(regex("^iam:(Get|List)", action))]
    if statement.Effect == "Allow"]])) == toset(["iam:CreateServiceLinkedRole", "iam:PassRole"])
    error_message = "Whoever applies passes roles and makes none: neither the role nor a policy of one."
  }

  assert {
    condition = toset(flatten([for statement in jsondecode(output.ci_boundaries["dev"]).Statement : [for action in flatten([statement.Action]) : action if startswith(action, "iam:") && !can(regex("^iam:(Get|List)", action))]
    if statement.Effect == "Allow"])) == toset(["iam:CreateServiceLinkedRole", "iam:PassRole"])
    error_message = "Nor may it, whatever policy it gets."
  }
}

run "switched_off" {
  variables {
    environments = { dev = { github_environment = "dev", without = ["chat", "network", "budgets"] } }
  }

  assert {
    condition     = !anytrue([for policy in values(output.policies) : anytrue([for word in ["chatbot:", "ec2:", "budgets:"] : strcontains(policy, word)])]) && !contains(keys(output.policies), "dev/apply/network")
    error_message = "What no stack uses is allowed to nobody, and makes no policy."
  }

  assert {
    condition     = [for sid in ["KeepStateBucket", "NeverSign"] : anytrue([for policy in values(output.policies) : strcontains(policy, sid)])] == [true, true]
    error_message = "What is refused stays refused."
  }
}

run "extra_statements" {
  variables {
    environments = { dev = {
      github_environment = "dev"
      extra_statements = {
        plan     = [{ actions = ["states:DescribeStateMachine"], resources = ["arn:aws:states:eu-central-1:222222222222:stateMachine:shop-222222222222-dev-*"] }]
        apply    = [{ actions = ["states:CreateStateMachine"], resources = ["*"], conditions = { StringEquals = { "aws:RequestTag/Project" = ["shop"] } } }]
        boundary = [{ actions = ["bedrock:InvokeModel"], resources = ["arn:aws:bedrock:eu-central-1::foundation-model/*"] }]
      }
    } }
  }

  assert {
    condition = (jsonencode(jsondecode(output.policies["dev/plan/extra"]).Statement) == jsonencode([{
      Sid      = "ExtraRead1"
      Effect   = "Allow"
      Action   = ["states:DescribeStateMachine"]
      Resource = ["arn:aws:states:eu-central-1:222222222222:stateMachine:shop-222222222222-dev-*"]
      }])
    && [for statement in jsondecode(output.policies["dev/apply/extra"]).Statement : statement.Sid] == ["ExtraRead1", "ExtraWrite1"])
    error_message = "A plan gets what reads, an apply both."
  }

  assert {
    condition = (jsondecode(output.policies["dev/apply/extra"]).Statement[1].Condition == { StringEquals = { "aws:RequestTag/Project" = ["shop"] } }
      && alltrue([for action in ["states:DescribeStateMachine", "states:CreateStateMachine"] : strcontains(output.ci_boundaries["dev"], action)])
    && !strcontains(output.boundaries["dev"], "states:") && strcontains(output.boundaries["dev"], "bedrock:InvokeModel"))
    error_message = "Conditions stay, the roles' own boundary admits it, and a function gets what is meant for functions."
  }
}

run "suites" {
  variables {
    environments = { dev = { github_environment = "dev", suites = { buckets = ["bucket-api-objects"], tables = ["traces"], streams = ["stream-events"] } } }
  }

  assert {
    condition = jsonencode({ for statement in jsondecode(output.policies["dev/apply/extra"]).Statement : statement.Sid => [statement.Action, statement.Resource] }) == jsonencode({
      SuiteItems = [["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:Query"],
      ["arn:aws:dynamodb:eu-central-1:222222222222:table/shop-222222222222-dev-traces", "arn:aws:dynamodb:eu-central-1:222222222222:table/shop-222222222222-dev-traces/index/*"]]
      SuiteObjects = [["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], ["arn:aws:s3:::shop-222222222222-dev-bucket-api-objects/*"]]
      SuiteRecords = [["kinesis:PutRecord", "kinesis:PutRecords"], ["arn:aws:kinesis:eu-central-1:222222222222:stream/shop-222222222222-dev-stream-events"]]
    })
    error_message = "A suite uses the named bucket, table and stream."
  }

  assert {
    condition     = !contains(keys(output.policies), "dev/plan/extra")
    error_message = "A plan uses no data."
  }
}

run "people" {
  variables {
    environments = { dev = { people = {
      plan_role_arns  = ["arn:aws:iam::222222222222:role/aws-reserved/sso.amazonaws.com/eu-central-1/AWSReservedSSO_Developer_*"]
      apply_role_arns = ["arn:aws:iam::333333333333:role/deployer"]
    } } }
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(output.trust_policies["dev/apply"]).Statement : statement if statement.Sid == "People"])) == jsonencode({
      Action    = "sts:AssumeRole"
      Condition = { ArnLike = { "aws:PrincipalArn" = ["arn:aws:iam::333333333333:role/deployer"] } }
      Effect    = "Allow"
      Principal = { AWS = ["arn:aws:iam::333333333333:root"] }
      Sid       = "People"
    })
    error_message = "A person's role may apply, and nobody else of its account."
  }

  assert {
    condition     = strcontains(output.trust_policies["dev/plan"], "AWSReservedSSO_Developer_*") && !strcontains(output.trust_policies["dev/apply"], "Developer")
    error_message = "Who plans does not apply."
  }
}

run "refuses_people_by_a_pattern_of_everybody" {
  command = plan

  variables {
    environments = { dev = { people = { apply_role_arns = ["arn:aws:iam::222222222222:role/*"] } } }
  }

  expect_failures = [var.environments]
}

run "refuses_people_by_a_pattern_in_the_middle" {
  command = plan

  variables {
    environments = { dev = { people = { apply_role_arns = ["arn:aws:iam::222222222222:role/team-*/deployer"] } } }
  }

  expect_failures = [var.environments]
}

run "refuses_a_service_as_a_whole" {
  command = plan

  variables {
    environments = { dev = { github_environment = "dev", extra_statements = { apply = [{ actions = ["states:*"], resources = ["*"] }] } } }
  }

  expect_failures = [var.environments]
}

run "refuses_more_of_iam" {
  command = plan

  variables {
    environments = { dev = { github_environment = "dev", extra_statements = { apply = [{ actions = ["iam:CreateUser"], resources = ["*"] }] } } }
  }

  expect_failures = [var.environments]
}

run "refuses_a_statement_about_nothing" {
  command = plan

  variables {
    environments = { dev = { github_environment = "dev", extra_statements = { boundary = [{ actions = ["states:StartExecution"], resources = [] }] } } }
  }

  expect_failures = [var.environments]
}

run "refuses_suites_in_a_protected_environment" {
  command = plan

  variables {
    environments = { prod = { github_environment = "prod", protected = true, suites = { tables = ["traces"] } } }
  }

  expect_failures = [var.environments]
}

run "refuses_a_suite_on_the_state" {
  command = plan

  variables {
    environments = { dev = { github_environment = "dev", suites = { buckets = ["state"] } } }
  }

  expect_failures = [var.environments]
}

run "refuses_a_suite_on_a_state_of_another_name" {
  command = plan

  variables {
    environments = { dev = { github_environment = "dev", state_bucket = "shop-222222222222-dev-terraform", suites = { buckets = ["terraform"] } } }
  }

  expect_failures = [var.environments]
}

run "refuses_to_switch_off_what_it_does_not_know" {
  command = plan

  variables {
    environments = { dev = { github_environment = "dev", without = ["lambda"] } }
  }

  expect_failures = [var.environments]
}
