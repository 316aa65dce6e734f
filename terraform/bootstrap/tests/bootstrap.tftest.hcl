# Plans only: bucket, key and table must never be destroyed, not by a test's end either.
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
}

variables {
  account = { id = "222222222222", region = "eu-central-1", project = "shop" }
  environments = {
    dev  = { state_bucket = "shop-222222222222-dev-state", lock_table = "shop-222222222222-dev-locks" }
    test = { state_bucket = "shop-222222222222-test-state" }
  }
}

run "states_alone_by_default" {
  command = plan

  assert {
    condition = output.state == {
      dev  = { bucket = "shop-222222222222-dev-state", lock_table = "shop-222222222222-dev-locks" }
      test = { bucket = "shop-222222222222-test-state", lock_table = null }
    }
    error_message = "Each environment of the account has a bucket, and a table where it names one."
  }

  assert {
    condition     = alltrue([for state in module.state : state.policy == state.exact_policy && [for statement in jsondecode(state.policy).Statement : statement.Sid] == ["HttpsOnly", "NeverOverwritten", "NeverDeleted", "KeptFromCi"]])
    error_message = "Nothing of the emulator's is left out of an account of the cloud."
  }

  assert {
    condition     = output.store == null && output.policies == null && output.signing_public_key == null && output.deployment_roles == {} && output.function_roles == {}
    error_message = "What nobody asked for is not made."
  }
}

run "store_account" {
  command = plan

  variables {
    store = { bucket = "shop-222222222222-artifacts" }
    artifact_store = {
      bucket             = "shop-222222222222-artifacts"
      reader_account_ids = ["333333333333"]
      repositories       = ["shop/ingest", "shop/resize"]
      signing_alias      = "alias/shop-release"
    }
    github_repository = "acme/shop"
    ci                = { dev = { github_environment = "dev" } }
  }

  assert {
    condition     = output.store.bucket == "shop-222222222222-artifacts" && keys(output.store.repositories) == ["shop/ingest", "shop/resize"] && output.store.signing_alias == "alias/shop-release"
    error_message = "The store has its bucket, a repository for each image function, and a key that signs."
  }

  assert {
    condition     = aws_kms_key.signing[0].customer_master_key_spec == "ECC_NIST_P256" && aws_kms_key.signing[0].key_usage == "SIGN_VERIFY"
    error_message = "Releases are signed with ECDSA over P-256."
  }

  assert {
    condition     = alltrue([for repository in module.repositories : strcontains(repository.policy, "arn:aws:iam::333333333333:root") && strcontains(repository.policy, "lambda:eu-central-1:333333333333:function:shop-*")])
    error_message = "The environments' accounts pull images, for themselves and for their functions."
  }

  # With the store's key not known yet, which policies there are is known all the same.
  assert {
    condition     = length([for key in keys(module.ci_roles[0].policies) : key if startswith(key, "dev/")]) == 18
    error_message = "An environment's two roles have a policy for each of nine groups."
  }

  assert {
    condition     = aws_kms_key.signing[0].tags["Environment"] == "_store" && !can(regex("^[a-z]", aws_kms_key.signing[0].tags["Environment"]))
    error_message = "The release key is tagged as no environment's."
  }

  assert {
    condition     = [for statement in jsondecode(aws_kms_key.signing[0].policy).Statement : "${statement.Effect} ${statement.Sid}"] == ["Allow AdministeredThroughIam", "Deny NobodyElseSigns", "Deny NeverGranted", "Deny KeptFromCi"] && output.publisher_role == null
    error_message = "Without a publisher nobody signs with it."
  }

  assert {
    condition     = !anytrue([for action in jsondecode(aws_kms_key.signing[0].policy).Statement[0].Action : contains(["kms:*", "kms:Sign", "kms:CreateGrant"], action)])
    error_message = "Whoever administers the account's keys neither signs with it nor gives that away."
  }
}

run "publisher" {
  command = plan

  variables {
    store = { bucket = "shop-222222222222-artifacts", repository_arns = ["arn:aws:ecr:eu-central-1:222222222222:repository/shop/*"] }
    artifact_store = {
      bucket             = "shop-222222222222-artifacts"
      reader_account_ids = []
      repositories       = []
      signing_alias      = "alias/shop-release"
    }
    github_repository     = "acme/shop"
    ci                    = { dev = { github_environment = "dev" } }
    publisher             = { github_environment = "release" }
    break_glass_role_arns = ["arn:aws:iam::222222222222:role/break-glass"]
  }

  assert {
    condition = jsonencode([for statement in jsondecode(aws_kms_key.signing[0].policy).Statement : [statement.Action, statement.Condition] if statement.Sid == "SignedByPublisher"]) == jsonencode([["kms:Sign", {
      ArnEquals    = { "aws:PrincipalArn" = "arn:aws:iam::222222222222:role/slipway/ci/shop-222222222222-publisher" }
      StringEquals = { "kms:MessageType" = ["DIGEST", "RAW"], "kms:SigningAlgorithm" = "ECDSA_SHA_256" }
    }]])
    error_message = "The publisher alone signs, by the one algorithm."
  }

  assert {
    condition     = jsondecode(aws_kms_key.signing[0].policy).Statement[2].Sid == "NobodyElseSigns" && jsondecode(aws_kms_key.signing[0].policy).Statement[2].Condition.ArnNotEquals["aws:PrincipalArn"] == "arn:aws:iam::222222222222:role/slipway/ci/shop-222222222222-publisher"
    error_message = "Also where an identity policy says otherwise."
  }

  assert {
    condition     = jsonencode(output.trusted_github_environments["publisher"]) == jsonencode({ repository = "acme/shop", repository_id = null, branch = "main", names = ["release"] }) && output.trusted_github_environments["dev"].names[0] == "dev"
    error_message = "Whose rules on GitHub count goes out."
  }

  assert {
    condition = alltrue([for policy in [jsondecode(nonsensitive(module.artifact_store[0].exact_policy)), jsondecode(module.state["dev"].exact_policy)] :
    one([for statement in policy.Statement : statement.Condition.ArnNotLike["aws:PrincipalArn"][0] if statement.Sid == "NeverDeleted"]) == "arn:aws:iam::222222222222:role/break-glass"])
    error_message = "One named role may delete from store and ledger."
  }
}

run "publisher_elsewhere" {
  command = plan

  variables {
    store             = { bucket = "shop-111111111111-artifacts" }
    github_repository = "acme/shop"
    publisher         = { github_environment = "release" }
  }

  expect_failures = [var.publisher]
}

run "publisher_that_deploys" {
  command = plan

  variables {
    store             = { bucket = "b-b" }
    artifact_store    = { bucket = "b-b", reader_account_ids = [], repositories = [] }
    github_repository = "acme/shop"
    ci                = { dev = { github_environment = "dev" } }
    publisher         = { github_environment = "dev" }
  }

  expect_failures = [var.publisher]
}

run "environments_of_which_one_begins_another" {
  command = plan

  variables {
    environments = { prod = { state_bucket = "prod-state" }, prod-eu = { state_bucket = "prod-eu-state" } }
  }

  expect_failures = [var.environments]
}

run "no_key_where_another_signs" {
  command = plan

  variables {
    store = { bucket = "b-b" }
    artifact_store = {
      bucket             = "b-b"
      reader_account_ids = []
      repositories       = []
    }
  }

  assert {
    condition     = length(aws_kms_key.signing) == 0 && length(aws_kms_alias.signing) == 0 && output.signing_public_key == null
    error_message = "A file, or a key made elsewhere, signs: none is made here."
  }
}

run "function_role" {
  command = plan

  variables {
    store             = { bucket = "b-b" }
    github_repository = "acme/shop"
    ci                = { dev = { github_environment = "dev" } }
    function_roles    = { dev = ["tracer"] }
  }

  assert {
    condition     = aws_iam_role.function["dev/tracer"].name == "shop-222222222222-dev-tracer"
    error_message = "The role is named <project>-<account id>-<environment>-<role>."
  }

  assert {
    condition = sort(flatten([for statement in jsondecode(aws_iam_role_policy.function["dev/tracer"].policy).Statement : statement.Resource])) == sort([
      "arn:aws:logs:eu-central-1:222222222222:log-group:/aws/lambda/shop-222222222222-dev-tracer:*",
      "arn:aws:dynamodb:eu-central-1:222222222222:table/shop-222222222222-dev-traces",
      "arn:aws:dynamodb:eu-central-1:222222222222:table/shop-222222222222-dev-spans",
      "arn:aws:dynamodb:eu-central-1:222222222222:table/shop-222222222222-dev-traces/index/by-project",
      "arn:aws:dynamodb:eu-central-1:222222222222:table/shop-222222222222-dev-spans/index/by-trace",
      "arn:aws:secretsmanager:eu-central-1:222222222222:secret:shop-222222222222-dev-tracer-api-keys-??????",
    ])
    error_message = "It reaches its own environment's tables, secret and log, and nothing else."
  }
}

run "an_environment_that_lives_elsewhere" {
  command = plan

  variables {
    store             = { bucket = "b-b" }
    github_repository = "acme/shop"
    ci                = { prod = { github_environment = "prod" } }
  }

  expect_failures = [var.ci]
}

run "roles_of_functions_without_a_boundary" {
  command = plan

  variables {
    function_roles = { dev = ["tracer"] }
  }

  expect_failures = [var.function_roles]
}

run "a_role_that_nobody_described" {
  command = plan

  variables {
    store             = { bucket = "b-b" }
    github_repository = "acme/shop"
    ci                = { dev = { github_environment = "dev" } }
    function_roles    = { dev = ["other"] }
  }

  expect_failures = [var.function_roles]
}

run "a_role_that_is_described_in_values" {
  command = plan

  variables {
    store             = { bucket = "b-b" }
    github_repository = "acme/shop"
    ci                = { dev = { github_environment = "dev", make_roles = false } }
    function_roles    = { dev = ["orders"] }
    function_role_statements = { orders = [{
      sid       = "Orders"
      actions   = ["dynamodb:PutItem"]
      resources = ["arn:aws:dynamodb:{region}:{account}:table/{prefix}orders"]
    }] }
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.function["dev/orders"].policy).Statement[1].Resource == ["arn:aws:dynamodb:eu-central-1:222222222222:table/shop-222222222222-dev-orders"]
    error_message = "What the values leave open is the environment's."
  }

  assert {
    condition     = jsondecode(aws_iam_role.function["dev/orders"].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "222222222222"
    error_message = "Lambda takes the role for this account's functions alone."
  }

  assert {
    condition     = !strcontains(module.ci_roles[0].policies["dev/apply/identity"], "iam:CreateRole\"") && keys(output.lambda_role_arn) == ["dev/orders"]
    error_message = "Whoever deploys there passes the role and makes none."
  }
}

run "refuses_a_role_with_the_resources_of_others" {
  command = plan

  variables {
    function_role_statements = { orders = [{ sid = "All", actions = ["dynamodb:PutItem"], resources = ["*"] }] }
  }

  expect_failures = [var.function_role_statements]
}

run "refuses_the_placeholder_of_this_repository" {
  command = plan

  variables {
    github_repository = "slipway/slipway"
  }

  expect_failures = [var.github_repository]
}

run "outputs_by_the_names_of_others" {
  command = plan

  assert {
    condition = (output.account_id == "222222222222" && output.name_prefix == "shop-222222222222"
      && output.s3_bucket_name == { dev = "shop-222222222222-dev-state", test = "shop-222222222222-test-state" }
    && output.dynamodb_table_name == { dev = "shop-222222222222-dev-locks" } && output.lambda_role_arn == {} && output.guardduty_detector_id == null)
    error_message = "Account, prefix, buckets, lock tables and roles go out."
  }
}

run "guardduty" {
  command = plan

  variables {
    guardduty = true
  }

  assert {
    condition     = aws_guardduty_detector.this[0].enable && aws_guardduty_detector_feature.s3[0].name == "S3_DATA_EVENTS" && aws_guardduty_detector_feature.s3[0].status == "ENABLED"
    error_message = "The account has one detector, which reads S3's events."
  }
}
