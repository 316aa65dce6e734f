# Plans only: bucket and key must never be destroyed, not by a test's end either.
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
  name = "shop-222222222222-dev-state"
}

run "private_by_default" {
  command = plan

  assert {
    condition = (aws_s3_bucket_public_access_block.this.block_public_acls
      && aws_s3_bucket_public_access_block.this.block_public_policy
      && aws_s3_bucket_public_access_block.this.ignore_public_acls
    && aws_s3_bucket_public_access_block.this.restrict_public_buckets)
    error_message = "All four doors to the public stay shut."
  }

  assert {
    condition     = aws_s3_bucket_ownership_controls.this.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "No access control lists."
  }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.this.force_destroy
    error_message = "Old versions are kept, and a bucket with objects can't be destroyed."
  }

  assert {
    condition = (
      one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled
      && one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms"
      && aws_kms_key.this[0].enable_key_rotation
      && aws_kms_alias.this[0].name == "alias/shop-222222222222-dev-state"
    )
    error_message = "Objects are encrypted with a key of the bucket's own, which rotates."
  }

  assert {
    condition = jsondecode(aws_s3_bucket_policy.this[0].policy).Statement == [{
      Sid       = "HttpsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::shop-222222222222-dev-state", "arn:aws:s3:::shop-222222222222-dev-state/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "Calls without TLS are refused, and nobody else is let in."
  }

  assert {
    condition     = [for statement in jsondecode(aws_kms_key.this[0].policy).Statement : "${statement.Sid} ${statement.Effect}"] == ["AdministeredThroughIam Allow", "UsedThroughServices Allow", "GrantedToServices Allow", "KeptFromCi Deny"]
    error_message = "Only this account administers and uses the key, and no role of CI administers it."
  }

  assert {
    condition = (jsondecode(aws_kms_key.this[0].policy).Statement[3].Condition.ArnLike["aws:PrincipalArn"] == "arn:aws:iam::*:role/slipway/ci/*"
      && alltrue([for action in ["kms:CreateGrant", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:TagResource"] :
    contains(jsondecode(aws_kms_key.this[0].policy).Statement[3].Action, action)]))
    error_message = "A role of CI, of whatever account, neither grants, tags, re-policies nor deletes the key, whatever its own policies say."
  }

  assert {
    condition = (!anytrue([for action in jsondecode(aws_kms_key.this[0].policy).Statement[0].Action : action == "kms:*" || contains(["kms:Decrypt", "kms:Encrypt", "kms:CreateGrant"], action) || startswith(action, "kms:GenerateDataKey")])
      && jsondecode(aws_kms_key.this[0].policy).Statement[1].Condition.StringEquals["kms:ViaService"] == ["s3.eu-central-1.amazonaws.com", "dynamodb.eu-central-1.amazonaws.com"]
    && jsondecode(aws_kms_key.this[0].policy).Statement[2].Condition.Bool["kms:GrantIsForAWSResource"] == "true")
    error_message = "The account administers the key and uses it through S3 and DynamoDB alone."
  }

  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.this[0].rule) == 1 && aws_s3_bucket_lifecycle_configuration.this[0].rule[0].abort_incomplete_multipart_upload[0].days_after_initiation == 7
    error_message = "Unfinished uploads go; nothing else expires unless asked."
  }
}

run "readers" {
  command = plan

  variables {
    reader_account_ids = ["333333333333"]
  }

  assert {
    condition = [for statement in jsondecode(aws_s3_bucket_policy.this[0].policy).Statement : statement.Action if statement.Effect == "Allow"] == [
      ["s3:GetObject", "s3:GetObjectVersion"], ["s3:ListBucket"],
    ]
    error_message = "Readers read and list: they write nothing."
  }

  assert {
    condition = alltrue([for statement in jsondecode(aws_s3_bucket_policy.this[0].policy).Statement :
    jsonencode(statement.Principal) == jsonencode({ AWS = ["arn:aws:iam::333333333333:root"] }) if statement.Effect == "Allow"])
    error_message = "Only the accounts named are let in."
  }

  assert {
    condition = (jsondecode(aws_kms_key.this[0].policy).Statement[4].Action == ["kms:Decrypt", "kms:DescribeKey"]
    && jsondecode(aws_kms_key.this[0].policy).Statement[4].Condition.StringEquals["kms:ViaService"] == "s3.eu-central-1.amazonaws.com")
    error_message = "Readers decrypt, through S3 only."
  }
}

run "never_overwritten" {
  command = plan

  variables {
    require_new_keys = true
  }

  assert {
    condition = one([for statement in jsondecode(aws_s3_bucket_policy.this[0].policy).Statement : jsonencode(statement) if statement.Sid == "NeverOverwritten"]) == jsonencode({
      Sid       = "NeverOverwritten"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = ["arn:aws:s3:::shop-222222222222-dev-state/*"]
      Condition = {
        Null = { "s3:if-none-match" = "true" }
        Bool = { "s3:ObjectCreationOperation" = "true" }
      }
    })
    error_message = "A write without If-None-Match is refused."
  }
}

run "append_only" {
  command = plan

  variables {
    append_only_prefixes   = ["ledger/", "plans/"]
    never_deleted_prefixes = ["ledger/"]
  }

  assert {
    condition = one([for statement in jsondecode(output.policy).Statement : statement.Resource if statement.Sid == "NeverOverwritten"]) == [
      for key in ["ledger/*", "*/ledger/*", "plans/*", "*/plans/*"] : "arn:aws:s3:::shop-222222222222-dev-state/${key}"
    ]
    error_message = "Below these prefixes nothing is replaced, also where projects share the bucket."
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(output.policy).Statement : statement if statement.Sid == "NeverDeleted"])) == jsonencode({
      Sid       = "NeverDeleted"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
      Resource  = [for key in ["ledger/*", "*/ledger/*"] : "arn:aws:s3:::shop-222222222222-dev-state/${key}"]
    })
    error_message = "And nobody deletes it."
  }

  assert {
    condition     = output.policy == output.exact_policy
    error_message = "What goes out as the policy of AWS is what the bucket has."
  }
}

run "break_glass" {
  command = plan

  variables {
    never_deleted_prefixes = [""]
    break_glass_arns       = ["arn:aws:iam::222222222222:role/break-glass"]
  }

  assert {
    condition = jsonencode([for statement in jsondecode(output.policy).Statement : [statement.Resource, statement.Condition] if statement.Sid == "NeverDeleted"]) == jsonencode([[
      ["arn:aws:s3:::shop-222222222222-dev-state/*"], { ArnNotLike = { "aws:PrincipalArn" = ["arn:aws:iam::222222222222:role/break-glass"] } }
    ]])
    error_message = "One named role may delete, and nobody else."
  }

  assert {
    condition = alltrue([for action in ["s3:DeleteObjectVersion", "s3:PutBucket*", "s3:DeleteBucket*", "s3:PutLifecycleConfiguration"] :
    contains(one([for statement in jsondecode(output.policy).Statement : statement.Action if statement.Sid == "KeptFromCi"]), action)])
    error_message = "A role of CI changes nothing of the bucket."
  }
}

run "refuses_a_role_of_ci_as_break_glass" {
  command = plan

  variables {
    break_glass_arns = ["arn:aws:iam::222222222222:role/slipway/ci/shop-222222222222-dev-ci-apply"]
  }

  expect_failures = [var.break_glass_arns]
}

run "refuses_everybody_as_break_glass" {
  command = plan

  variables {
    break_glass_arns = ["arn:aws:iam::222222222222:role/*"]
  }

  expect_failures = [var.break_glass_arns]
}

run "given_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000"
  }

  assert {
    condition = (length(aws_kms_key.this) == 0
    && one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn)
    error_message = "A given key is used and none is made."
  }
}

run "emulator" {
  command = plan

  variables {
    require_new_keys       = true
    never_deleted_prefixes = [""]
    emulated               = true
  }

  assert {
    condition     = length(jsondecode(aws_kms_key.this[0].policy).Statement) == 3 && length(jsondecode(output.exact_key_policy).Statement) == 4 && length(jsondecode(output.exact_policy).Statement) == 4
    error_message = "What it does not get is told all the same."
  }

  assert {
    condition     = length(aws_s3_bucket_policy.this) == 0 && length(aws_s3_bucket_lifecycle_configuration.this) == 0
    error_message = "An emulator gets neither the policy, whose condition it ignores, nor the slow lifecycle rules."
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.this.block_public_policy
    error_message = "All the rest stays as in the cloud."
  }
}

run "expiry" {
  command = plan

  variables {
    noncurrent_version_days = 90
    expiring_prefixes       = { "plans/" = 14 }
  }

  assert {
    condition = (length(aws_s3_bucket_lifecycle_configuration.this[0].rule) == 3
      && aws_s3_bucket_lifecycle_configuration.this[0].rule[1].noncurrent_version_expiration[0].noncurrent_days == 90
      && aws_s3_bucket_lifecycle_configuration.this[0].rule[2].filter[0].prefix == "plans/"
    && aws_s3_bucket_lifecycle_configuration.this[0].rule[2].expiration[0].days == 14)
    error_message = "Old versions and the objects of a prefix expire as asked."
  }
}

run "refuses_a_dotted_name" {
  command = plan

  variables {
    name = "shop.state"
  }

  expect_failures = [var.name]
}

run "refuses_a_short_account_id" {
  command = plan

  variables {
    reader_account_ids = ["333"]
  }

  expect_failures = [var.reader_account_ids]
}

run "real_account_refuses_emulated" {
  command = plan

  variables {
    emulated = true
  }

  override_data {
    target = data.aws_canonical_user_id.emulated
    values = { id = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be" }
  }

  expect_failures = [aws_s3_bucket.this]
}

run "localstack_is_an_emulator" {
  command = plan

  variables {
    emulated = true
  }

  override_data {
    target = data.aws_canonical_user_id.emulated
    values = { id = "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a" }
  }

  assert {
    condition     = local.may_be_emulated
    error_message = "LocalStack's own canonical user id is known."
  }
}

run "refuses_a_key_by_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:alias/shop"
  }

  expect_failures = [var.kms_key_arn]
}

run "key_of_the_same_plan" {
  command = plan

  variables {
    make_key    = false
    kms_key_arn = "arn:aws:kms:eu-central-1:111111111111:key/4c1a2b3d-0000-4000-8000-000000000000"
  }

  assert {
    condition     = length(aws_kms_key.this) == 0 && length(aws_kms_alias.this) == 0 && output.kms_key_arn == var.kms_key_arn
    error_message = "The given key encrypts, and none is made."
  }
}

run "no_key_at_all" {
  command = plan

  variables {
    make_key = false
  }

  expect_failures = [var.make_key]
}

run "two_keys" {
  command = plan

  variables {
    make_key    = true
    kms_key_arn = "arn:aws:kms:eu-central-1:111111111111:key/4c1a2b3d-0000-4000-8000-000000000000"
  }

  expect_failures = [var.make_key]
}
