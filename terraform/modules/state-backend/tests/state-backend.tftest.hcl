# Plans only: bucket, key and table must never be destroyed, not by a test's end either.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "333333333333" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-central-1" }
  }
}

variables {
  bucket = "shop-333333333333-prod-state"
}

run "bucket_alone_by_default" {
  command = plan

  assert {
    condition     = output.bucket == "shop-333333333333-prod-state" && length(aws_dynamodb_table.locks) == 0 && output.lock_table == null && output.lock_table_arn == null
    error_message = "The lock file is enough: without a name there is no table."
  }

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : "${statement.Effect} ${statement.Sid}"] == ["Deny HttpsOnly", "Deny NeverOverwritten", "Deny NeverDeleted", "Deny KeptFromCi"]
    error_message = "Calls without TLS are refused, and nobody of another account is let in."
  }

  assert {
    condition = { for statement in jsondecode(output.policy).Statement : statement.Sid => statement.Resource if startswith(statement.Sid, "Never") } == {
      NeverOverwritten = flatten([for prefix in ["archive/", "configurations/", "ledger/", "plans/"] : [for key in [prefix, "*/${prefix}"] : "arn:aws:s3:::shop-333333333333-prod-state/${key}*"]])
      NeverDeleted     = flatten([for prefix in ["archive/", "configurations/", "ledger/"] : [for key in [prefix, "*/${prefix}"] : "arn:aws:s3:::shop-333333333333-prod-state/${key}*"]])
    }
    error_message = "History is written once and kept, plans are written once; states may be replaced."
  }
}

run "lock_table" {
  command = plan

  variables {
    lock_table  = "shop-333333333333-prod-locks"
    kms_key_arn = "arn:aws:kms:eu-central-1:333333333333:key/4c1a2b3d-0000-4000-8000-000000000000"
    tags        = { Purpose = "state" }
  }

  assert {
    condition     = aws_dynamodb_table.locks[0].name == "shop-333333333333-prod-locks" && aws_dynamodb_table.locks[0].hash_key == "LockID" && one(aws_dynamodb_table.locks[0].attribute).type == "S" && aws_dynamodb_table.locks[0].billing_mode == "PAY_PER_REQUEST"
    error_message = "The table has the one key that Terraform's backend looks for, and costs by the request."
  }

  assert {
    condition     = aws_dynamodb_table.locks[0].point_in_time_recovery[0].enabled && aws_dynamodb_table.locks[0].deletion_protection_enabled
    error_message = "The table can be restored, and is not deleted by a slip."
  }

  assert {
    condition     = aws_dynamodb_table.locks[0].server_side_encryption[0].enabled && aws_dynamodb_table.locks[0].server_side_encryption[0].kms_key_arn == "arn:aws:kms:eu-central-1:333333333333:key/4c1a2b3d-0000-4000-8000-000000000000" && output.kms_key_arn == aws_dynamodb_table.locks[0].server_side_encryption[0].kms_key_arn
    error_message = "One key encrypts bucket and table."
  }

  assert {
    condition     = aws_dynamodb_table.locks[0].tags == tomap({ Purpose = "state" }) && output.lock_table == "shop-333333333333-prod-locks"
    error_message = "Tags reach the table, and its name goes out."
  }
}

run "emulator" {
  command = plan

  variables {
    emulated = true
  }

  assert {
    condition     = output.policy == null
    error_message = "An emulator, which ignores conditions, gets no refusal."
  }
}

run "refuses_a_dotted_name" {
  command = plan

  variables {
    bucket = "shop.state"
  }

  expect_failures = [var.bucket]
}

run "refuses_a_table_with_a_slash" {
  command = plan

  variables {
    lock_table = "shop/locks"
  }

  expect_failures = [var.lock_table]
}

run "refuses_states_that_go_at_once" {
  command = plan

  variables {
    noncurrent_version_days = 0
  }

  expect_failures = [var.noncurrent_version_days]
}

run "refuses_plans_that_go_at_once" {
  command = plan

  variables {
    plan_days = 0
  }

  expect_failures = [var.plan_days]
}

run "refuses_a_key_by_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:alias/shop"
  }

  expect_failures = [var.kms_key_arn]
}
