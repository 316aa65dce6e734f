# Makes a key on an emulated AWS, changes it and looks at it. Endpoint, region and credentials come
# from the environment. The key takes moto a quarter of a minute.
provider "aws" {
  max_retries = 2
}

variables {
  name                 = "slipway-modules-kms-key"
  description          = "Encrypts nothing yet"
  services             = ["s3"]
  deletion_window_days = 7
  tags                 = { Purpose = "emulator" }
}

run "made" {
  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.is_enabled && aws_kms_key.this.key_usage == "ENCRYPT_DECRYPT"
    error_message = "KMS has the key, enabled and rotating."
  }

  assert {
    condition     = startswith(output.arn, "arn:aws:kms:") && endswith(output.arn, ":key/${output.key_id}")
    error_message = "KMS's own ARN and id go out."
  }
}

run "opened_to_another_service" {
  variables {
    description = "Encrypts objects and a table"
    services    = ["s3", "dynamodb"]
  }

  assert {
    condition     = output.key_id == run.made.key_id
    error_message = "The key is changed, not replaced: what it encrypted stays readable."
  }

  assert {
    condition = one([
      for statement in jsondecode(aws_kms_key.this.policy).Statement : sort(statement.Condition.StringEquals["kms:ViaService"]) if statement.Sid == "UsedThroughServices"
    ]) == sort([for service in ["dynamodb", "s3"] : "${service}.${data.aws_region.current.id}.amazonaws.com"])
    error_message = "KMS keeps the policy with both services."
  }
}

run "as_kms_tells_it" {
  module {
    source = "./tests/emulator/look"
  }

  variables {
    alias = run.opened_to_another_service.alias
  }

  assert {
    condition     = output.key.id == run.made.key_id && output.key.arn == run.made.arn
    error_message = "The alias leads to the key."
  }

  assert {
    condition     = output.key.key_state == "Enabled" && output.key.description == "Encrypts objects and a table"
    error_message = "The key can be used, and says what it encrypts now."
  }
}
