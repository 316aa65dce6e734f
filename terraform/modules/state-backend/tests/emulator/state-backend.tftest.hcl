# Makes a state bucket on an emulated AWS, adds a table of locks and looks at both. Endpoint, region and
# credentials come from the environment. It runs on a copy of the modules in which private-bucket can be
# destroyed, and with destroyable/*.tf laid beside main.tf. What the emulator lacks is off: it ignores the
# conditions of policies, and takes a minute over lifecycle rules. The key takes it a quarter of a minute.
provider "aws" {
  max_retries       = 2
  s3_use_path_style = true
}

variables {
  bucket   = "slipway-modules-state"
  emulated = true
  tags     = { Purpose = "emulator" }
}

run "bucket_alone" {
  assert {
    condition     = output.arn == "arn:aws:s3:::slipway-modules-state" && output.lock_table == null && can(regex(":key/.", output.kms_key_arn))
    error_message = "S3 has the bucket, KMS its key; there is no table."
  }
}

run "with_a_lock_table" {
  variables {
    lock_table = "slipway-modules-locks"
  }

  assert {
    condition     = endswith(output.lock_table_arn, ":table/slipway-modules-locks") && aws_dynamodb_table.locks[0].deletion_protection_enabled
    error_message = "DynamoDB has the table, and refuses to delete it."
  }

  assert {
    condition     = output.kms_key_arn == run.bucket_alone.kms_key_arn && output.arn == run.bucket_alone.arn
    error_message = "Bucket and key stay."
  }
}

run "protection_off" {
  variables {
    lock_table          = "slipway-modules-locks"
    deletion_protection = false
  }

  assert {
    condition     = !aws_dynamodb_table.locks[0].deletion_protection_enabled
    error_message = "The end of the test may delete the table."
  }
}

run "as_the_services_tell_it" {
  module {
    source = "./tests/emulator/look"
  }

  variables {
    lock_table = run.with_a_lock_table.lock_table
  }

  assert {
    condition     = output.locks.hash_key == "LockID" && output.locks.billing_mode == "PAY_PER_REQUEST" && one(output.locks.point_in_time_recovery).enabled && output.locks.tags["Purpose"] == "emulator"
    error_message = "The table is the one that the backend looks for, and can be restored."
  }

  assert {
    condition     = one(output.locks.server_side_encryption).kms_key_arn == run.bucket_alone.kms_key_arn && output.state.kms_key_id == run.bucket_alone.kms_key_arn
    error_message = "One key encrypts locks and states."
  }

  assert {
    condition     = length(output.state.version_id) > 4
    error_message = "A state is kept as a version."
  }
}
