# Plans only: bucket, key and table must never be destroyed, not by a test's end either.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "222222222222" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
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
    condition     = alltrue([for state in module.state : [for statement in jsondecode(state.policy).Statement : statement.Sid] == ["HttpsOnly"]])
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
    condition     = length([for key in keys(module.ci_roles[0].policies) : key if startswith(key, "dev/")]) == 16
    error_message = "An environment's two roles have a policy for each of eight groups."
  }
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
    function_roles = { dev = ["tracer"] }
  }

  assert {
    condition     = aws_iam_role.function["dev/tracer"].name == "shop-222222222222-dev-tracer"
    error_message = "The role is named <project>-<account id>-<environment>-<role>."
  }

  assert {
    condition = sort(flatten([for statement in jsondecode(aws_iam_role_policy.function["dev/tracer"].policy).Statement : statement.Resource])) == sort([
      "arn:aws:logs:eu-central-1:222222222222:log-group:/aws/lambda/shop-222222222222-dev-tracer",
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
    function_roles    = { prod = ["other"] }
  }

  expect_failures = [var.ci, var.function_roles]
}
