# Makes a bucket on an emulated AWS, writes to it, changes it and writes again. Endpoint, region and
# credentials come from the environment. What the emulator lacks is off: it ignores the conditions of
# policies, and takes a minute over lifecycle rules.
provider "aws" {
  max_retries       = 2
  s3_use_path_style = true
}

variables {
  name     = "slipway-modules-s3-bucket"
  emulated = true
  tags     = { Purpose = "emulator" }
}

run "made" {
  assert {
    condition     = output.arn == "arn:aws:s3:::slipway-modules-s3-bucket" && aws_s3_bucket.this.tags_all["Purpose"] == "emulator"
    error_message = "S3 has the bucket, with its tags."
  }

  assert {
    condition     = one(aws_s3_bucket_versioning.this[0].versioning_configuration).status == "Enabled"
    error_message = "S3 keeps older versions."
  }

  assert {
    condition = (one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled
    && one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms")
    error_message = "S3 encrypts with KMS by default."
  }

  assert {
    condition     = output.policy == null
    error_message = "With every refusal off there is no policy."
  }
}

run "first_object" {
  module {
    source = "./tests/emulator/object"
  }

  variables {
    bucket  = run.made.bucket
    content = "first"
  }

  assert {
    condition     = output.object.version_id != "null" && length(output.object.version_id) > 4
    error_message = "An object is written as a version."
  }

  assert {
    condition     = output.object.server_side_encryption == "aws:kms"
    error_message = "An object that asks for nothing is encrypted with KMS all the same."
  }
}

run "versions_suspended" {
  variables {
    versioning    = false
    force_destroy = true
  }

  assert {
    condition     = length(aws_s3_bucket_versioning.this) == 0 && aws_s3_bucket.this.force_destroy && output.arn == run.made.arn
    error_message = "The same bucket, without versioning."
  }
}

run "second_object" {
  module {
    source = "./tests/emulator/object"
  }

  variables {
    bucket  = run.made.bucket
    content = "second"
  }

  assert {
    condition     = contains(["", "null"], output.object.version_id)
    error_message = "An object is no longer written as a version of its own."
  }

  assert {
    condition     = output.read == "second"
    error_message = "What is read is what was written last."
  }
}
