# Plans only: bucket and key must never be destroyed, not by a test's end either.
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
}

variables {
  bucket             = "shop-111111111111-artifacts"
  reader_account_ids = ["222222222222", "333333333333"]
}

run "immutable_and_readable" {
  command = plan

  assert {
    condition     = [for statement in jsondecode(module.bucket.policy).Statement : statement.Sid] == ["HttpsOnly", "NeverOverwritten", "NeverDeleted", "KeptFromCi", "ReadByOtherAccounts", "ListedByOtherAccounts"]
    error_message = "The store refuses plain HTTP and overwriting, and lets the environments' accounts read."
  }

  assert {
    condition = jsondecode(module.bucket.policy).Statement[4].Principal.AWS == [
      "arn:aws:iam::222222222222:root", "arn:aws:iam::333333333333:root",
    ]
    error_message = "The accounts that read are the ones named."
  }

  assert {
    condition     = output.bucket == "shop-111111111111-artifacts"
    error_message = "The bucket takes the name it was given."
  }
}

run "break_glass" {
  command = plan

  variables {
    break_glass_arns = ["arn:aws:iam::111111111111:role/break-glass"]
  }

  assert {
    condition = jsonencode([for statement in jsondecode(module.bucket.policy).Statement : [statement.Resource, statement.Condition] if statement.Sid == "NeverDeleted"]) == jsonencode([[
      ["arn:aws:s3:::shop-111111111111-artifacts/*"], { ArnNotLike = { "aws:PrincipalArn" = ["arn:aws:iam::111111111111:role/break-glass"] } }
    ]])
    error_message = "One named role may delete what was released; a delete marker would let the next write pass as a new object."
  }
}

run "emulator" {
  command = plan

  variables {
    reader_account_ids = []
    emulated           = true
  }

  assert {
    condition     = module.bucket.policy == null
    error_message = "On an emulator that ignores conditions the switches leave no policy behind."
  }
}

run "refuses_a_key_by_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:alias/shop"
  }

  expect_failures = [var.kms_key_arn]
}
