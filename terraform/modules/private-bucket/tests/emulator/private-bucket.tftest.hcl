# Makes a bucket and its key on an emulated AWS, opens it to readers and writes to it. Endpoint, region
# and credentials come from the environment. It runs on a copy of the modules with destroyable/*.tf laid
# beside main.tf, or the end of the test could not destroy what `prevent_destroy` keeps. What the emulator
# lacks is off: it ignores the conditions of policies, and takes a minute over lifecycle rules. The key
# takes it a quarter of a minute.
provider "aws" {
  max_retries       = 2
  s3_use_path_style = true
}

variables {
  name     = "slipway-modules-private-bucket"
  emulated = true
  tags     = { Purpose = "emulator" }
}

run "made" {
  assert {
    condition     = aws_kms_key.this[0].enable_key_rotation && one(aws_s3_bucket_versioning.this.versioning_configuration).status == "Enabled"
    error_message = "KMS has a key that rotates, S3 keeps older versions."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).kms_master_key_id == output.kms_key_arn
    error_message = "S3 encrypts with the key that was made."
  }

  assert {
    condition     = output.policy == null
    error_message = "Nobody else reads, and with every refusal off there is no policy."
  }
}

run "opened_to_readers" {
  variables {
    reader_account_ids = ["444444444444"]
  }

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : "${statement.Sid} ${statement.Effect} ${one(statement.Principal.AWS)}"] == [for sid in ["ReadByOtherAccounts", "ListedByOtherAccounts"] : "${sid} Allow arn:aws:iam::444444444444:root"]
    error_message = "S3 keeps a policy that lets the other account read and list."
  }

  assert {
    condition     = contains([for statement in jsondecode(aws_kms_key.this[0].policy).Statement : statement.Sid], "DecryptedByReaders") && output.kms_key_arn == run.made.kms_key_arn
    error_message = "KMS keeps a policy that lets it decrypt, of the same key."
  }
}

run "first_object" {
  module {
    source = "./tests/emulator/object"
  }

  variables {
    bucket  = run.opened_to_readers.bucket
    content = "first"
  }

  assert {
    condition     = output.object.server_side_encryption == "aws:kms" && output.object.kms_key_id == run.made.kms_key_arn
    error_message = "An object that asks for nothing is encrypted with the bucket's key."
  }

  assert {
    condition     = output.key.arn == run.made.kms_key_arn && output.key.enabled
    error_message = "The alias leads to the key, which is enabled."
  }
}

run "replaced_object" {
  module {
    source = "./tests/emulator/object"
  }

  variables {
    bucket  = run.opened_to_readers.bucket
    content = "second"
  }

  assert {
    condition     = length(output.object.version_id) > 4 && output.object.version_id != run.first_object.object.version_id
    error_message = "What replaces an object is a version of its own."
  }
}
