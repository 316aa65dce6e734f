mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::shop-222222222222-dev-invoices" }
  }
}

variables {
  name = "shop-222222222222-dev-invoices"
}

run "private_by_default" {
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
    condition     = aws_s3_bucket_versioning.this[0].versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.this.force_destroy
    error_message = "Old versions are kept, and a bucket with objects can't be destroyed."
  }

  assert {
    condition = (
      one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled
      && one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms"
    )
    error_message = "Objects are encrypted with KMS even where no key is given."
  }

  assert {
    condition = jsondecode(output.policy).Statement == [{
      Sid       = "HttpsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::shop-222222222222-dev-invoices", "arn:aws:s3:::shop-222222222222-dev-invoices/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "Calls without TLS are refused, and nobody is let in."
  }

  assert {
    condition = ([for rule in aws_s3_bucket_lifecycle_configuration.this[0].rule : rule.id] == ["unfinished-uploads", "old-versions"]
      && aws_s3_bucket_lifecycle_configuration.this[0].rule[0].abort_incomplete_multipart_upload[0].days_after_initiation == 7
      && aws_s3_bucket_lifecycle_configuration.this[0].rule[1].noncurrent_version_expiration[0].noncurrent_days == 90
    && aws_s3_bucket_lifecycle_configuration.this[0].rule[1].expiration[0].expired_object_delete_marker)
    error_message = "Unfinished uploads and old versions go; no object that is in use expires unless asked."
  }

  assert {
    condition     = output.bucket == "shop-222222222222-dev-invoices" && output.arn == "arn:aws:s3:::shop-222222222222-dev-invoices"
    error_message = "The bucket takes the name it was given."
  }
}

run "given_key_and_tags" {
  variables {
    kms_key_arn   = "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000"
    force_destroy = true
    tags          = { Purpose = "invoices" }
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).kms_master_key_id == "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000"
    error_message = "A given key is used."
  }

  assert {
    condition     = aws_s3_bucket.this.force_destroy && aws_s3_bucket.this.tags == tomap({ Purpose = "invoices" })
    error_message = "The switch and the tags reach the bucket."
  }
}

run "allowed_principals_alone" {
  variables {
    allowed_principal_arns = ["arn:aws:iam::222222222222:role/shop-222222222222-dev-lister"]
    administrator_arns     = ["arn:aws:iam::222222222222:role/shop-deploy"]
    reader_arns            = ["arn:aws:iam::222222222222:role/slipway/ci/shop-plan"]
  }

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : statement.Sid] == ["HttpsOnly", "ObjectsForAllowedPrincipals", "NamesForReaders", "SettingsForAdministrators"]
    error_message = "Both lists bring their refusal."
  }

  assert {
    condition     = alltrue([for statement in jsondecode(output.policy).Statement : statement.Effect == "Deny" && statement.Principal == "*"])
    error_message = "The policy only refuses: what an admitted principal may do its own policies say."
  }

  assert {
    condition = jsonencode(jsondecode(output.policy).Statement[1].Condition) == jsonencode({
      ArnNotEquals = { "aws:PrincipalArn" = ["arn:aws:iam::222222222222:role/shop-222222222222-dev-lister", "arn:aws:iam::222222222222:role/shop-deploy"] }
      Bool         = { "aws:PrincipalIsAWSService" = "false" }
    })
    error_message = "Objects are for the allowed principals and the administrators."
  }

  assert {
    condition = alltrue([for action in ["s3:GetObject*", "s3:PutObject*", "s3:DeleteObject*", "s3:ListBucketVersions"] :
    contains(jsondecode(output.policy).Statement[1].Action, action)])
    error_message = "Nobody else reads, writes, deletes or lists."
  }

  assert {
    condition     = !anytrue([for action in jsondecode(output.policy).Statement[1].Action : startswith(action, "s3:GetBucket") || action == "s3:*"])
    error_message = "A role that only plans still reads the bucket's settings."
  }

  assert {
    condition = (jsondecode(output.policy).Statement[2].Action == "s3:ListBucket"
      && jsondecode(output.policy).Statement[2].Condition.ArnNotEquals["aws:PrincipalArn"] == ["arn:aws:iam::222222222222:role/shop-222222222222-dev-lister", "arn:aws:iam::222222222222:role/shop-deploy", "arn:aws:iam::222222222222:role/slipway/ci/shop-plan"]
    && !strcontains(jsonencode(jsondecode(output.policy).Statement[1].Condition), "shop-plan"))
    error_message = "A role that only plans looks whether the bucket is there (HeadBucket is s3:ListBucket), and reads no object."
  }

  assert {
    condition = (jsonencode(jsondecode(output.policy).Statement[3].Condition.ArnNotEquals) == jsonencode({ "aws:PrincipalArn" = ["arn:aws:iam::222222222222:role/shop-deploy"] })
    && alltrue([for action in ["s3:PutBucket*", "s3:DeleteBucket*", "s3:PutLifecycleConfiguration", "s3:PutEncryptionConfiguration"] : contains(jsondecode(output.policy).Statement[3].Action, action)]))
    error_message = "Only administrators change the bucket or its policy."
  }
}

run "emulator" {
  variables {
    allowed_principal_arns = ["arn:aws:iam::222222222222:role/shop-222222222222-dev-lister"]
    administrator_arns     = ["arn:aws:iam::222222222222:role/shop-deploy"]
    emulated               = true
  }

  assert {
    condition     = output.policy == null && length(aws_s3_bucket_lifecycle_configuration.this) == 0
    error_message = "An emulator gets neither the refusals, whose conditions it ignores, nor the slow lifecycle rules."
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.this.block_public_policy && length(aws_s3_bucket_versioning.this) == 1
    error_message = "All the rest stays as in the cloud."
  }
}

run "without_versions" {
  variables {
    versioning = false
  }

  assert {
    condition     = length(aws_s3_bucket_versioning.this) == 0 && [for rule in aws_s3_bucket_lifecycle_configuration.this[0].rule : rule.id] == ["unfinished-uploads"]
    error_message = "Without versions there are none to expire."
  }
}

run "expiry" {
  variables {
    noncurrent_version_days = null
    expiring_prefixes       = { "" = 365, "tmp/" = 1 }
  }

  assert {
    condition = ([for rule in aws_s3_bucket_lifecycle_configuration.this[0].rule : rule.id] == ["unfinished-uploads", "expire", "expire-tmp-"]
      && aws_s3_bucket_lifecycle_configuration.this[0].rule[1].expiration[0].days == 365
      && aws_s3_bucket_lifecycle_configuration.this[0].rule[2].filter[0].prefix == "tmp/"
    && aws_s3_bucket_lifecycle_configuration.this[0].rule[2].expiration[0].days == 1)
    error_message = "Objects expire by prefix as asked; null keeps old versions."
  }
}

run "refuses_a_dotted_name" {
  command = plan

  variables {
    name = "shop.invoices"
  }

  expect_failures = [var.name]
}

run "refuses_a_pattern_as_principal" {
  command = plan

  variables {
    allowed_principal_arns = ["arn:aws:iam::222222222222:role/shop-*"]
  }

  expect_failures = [var.allowed_principal_arns]
}

run "refuses_an_account_as_administrator" {
  command = plan

  variables {
    administrator_arns = ["arn:aws:iam::222222222222:root"]
  }

  expect_failures = [var.administrator_arns]
}

run "refuses_versions_that_go_at_once" {
  command = plan

  variables {
    noncurrent_version_days = 0
  }

  expect_failures = [var.noncurrent_version_days]
}

run "refuses_objects_that_go_at_once" {
  command = plan

  variables {
    expiring_prefixes = { "tmp/" = 0 }
  }

  expect_failures = [var.expiring_prefixes]
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

run "refuses_to_shut_out_the_applying_role" {
  command = plan

  variables {
    allowed_principal_arns = ["arn:aws:iam::222222222222:role/shop-222222222222-dev-lister"]
  }

  expect_failures = [var.administrator_arns]
}

run "refuses_readers_by_a_pattern" {
  command = plan

  variables {
    reader_arns = ["arn:aws:iam::222222222222:role/shop-*"]
  }

  expect_failures = [var.reader_arns]
}
