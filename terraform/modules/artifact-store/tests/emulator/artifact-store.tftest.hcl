# Makes a store on an emulated AWS, opens it to an environment's account and puts an artifact into it.
# Endpoint, region and credentials come from the environment. It runs on a copy of the modules in which
# private-bucket can be destroyed. What the emulator lacks is off: it ignores the conditions of policies,
# and takes a minute over lifecycle rules. The key takes it a quarter of a minute.
provider "aws" {
  max_retries       = 2
  s3_use_path_style = true
}

variables {
  bucket   = "slipway-modules-artifact-store"
  emulated = true
  tags     = { Purpose = "emulator" }
}

run "made" {
  assert {
    condition     = output.bucket == "slipway-modules-artifact-store" && output.arn == "arn:aws:s3:::slipway-modules-artifact-store" && can(regex("^arn:aws:kms:[^:]+:[0-9]{12}:key/.", output.kms_key_arn))
    error_message = "S3 has the store, KMS a key for it."
  }
}

run "opened_to_an_environment" {
  variables {
    reader_account_ids = ["444444444444"]
  }

  assert {
    condition     = output.kms_key_arn == run.made.kms_key_arn && output.arn == run.made.arn
    error_message = "Store and key stay."
  }
}

run "as_s3_tells_it" {
  module {
    source = "./tests/emulator/objects"
  }

  assert {
    condition     = output.artifact.server_side_encryption == "aws:kms" && output.artifact.kms_key_id == run.made.kms_key_arn && length(output.artifact.version_id) > 4
    error_message = "An artifact is encrypted with the store's key, and kept as a version."
  }

  assert {
    condition     = output.artifact.checksum_sha256 == "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
    error_message = "S3 tells the artifact's digest, which its key carries."
  }

  assert {
    condition     = sort(flatten([for statement in jsondecode(output.policy).Statement : statement.Action if statement.Effect == "Allow" && statement.Principal.AWS == ["arn:aws:iam::444444444444:root"]])) == tolist(["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"])
    error_message = "The environment's account reads and lists, and writes nothing."
  }
}
