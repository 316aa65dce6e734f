# Plans only: the test command does not hand an ephemeral variable on to an apply.
mock_provider "aws" {
  override_during = plan

  mock_resource "aws_secretsmanager_secret" {
    defaults = {
      id  = "arn:aws:secretsmanager:eu-central-1:222222222222:secret:shop-222222222222-dev-api-keys-AbCdEf"
      arn = "arn:aws:secretsmanager:eu-central-1:222222222222:secret:shop-222222222222-dev-api-keys-AbCdEf"
    }
  }
}

variables {
  name        = "shop-222222222222-dev-api-keys"
  description = "Keys of the clients of the shop's API"
}

run "empty_by_default" {
  command = plan

  assert {
    condition     = aws_secretsmanager_secret.this.name == "shop-222222222222-dev-api-keys" && aws_secretsmanager_secret.this.description == "Keys of the clients of the shop's API"
    error_message = "Name and description are the ones given."
  }

  assert {
    condition     = aws_secretsmanager_secret.this.recovery_window_in_days == 30
    error_message = "A deleted secret can be brought back for 30 days."
  }

  assert {
    condition     = length(aws_secretsmanager_secret_version.this) == 0
    error_message = "Without a value_version Terraform writes no value over the one that its owner put there."
  }

  assert {
    condition     = output.arn == "arn:aws:secretsmanager:eu-central-1:222222222222:secret:shop-222222222222-dev-api-keys-AbCdEf" && output.name == "shop-222222222222-dev-api-keys"
    error_message = "ARN and name go out."
  }
}

run "value_is_write_only" {
  command = plan

  variables {
    value         = "correct horse battery staple"
    value_version = 1
  }

  assert {
    condition     = aws_secretsmanager_secret_version.this[0].secret_string_wo_version == 1 && aws_secretsmanager_secret_version.this[0].secret_id == aws_secretsmanager_secret.this.id
    error_message = "The value is written to the secret, as version 1."
  }

  assert {
    condition     = aws_secretsmanager_secret_version.this[0].secret_string_wo == null && aws_secretsmanager_secret_version.this[0].secret_string == null
    error_message = "The value is write-only: the plan holds it neither there nor in the argument that would keep it."
  }
}

run "next_value" {
  command = plan

  variables {
    value         = "another"
    value_version = 2
  }

  assert {
    condition     = aws_secretsmanager_secret_version.this[0].secret_string_wo_version == 2
    error_message = "A new number writes the value again."
  }
}

run "key_window_and_tags" {
  command = plan

  variables {
    kms_key_arn          = "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000"
    recovery_window_days = 0
    tags                 = { Purpose = "api" }
  }

  assert {
    condition     = aws_secretsmanager_secret.this.kms_key_id == "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000" && aws_secretsmanager_secret.this.recovery_window_in_days == 0 && aws_secretsmanager_secret.this.tags == tomap({ Purpose = "api" })
    error_message = "Key, recovery window and tags are the ones given."
  }
}

run "refuses_a_name_like_an_arn" {
  command = plan

  variables {
    name = "shop-222222222222-dev-tracer"
  }

  expect_failures = [var.name]
}

run "refuses_a_name_with_a_space" {
  command = plan

  variables {
    name = "api keys"
  }

  expect_failures = [var.name]
}

run "refuses_value_zero" {
  command = plan

  variables {
    value         = "another"
    value_version = 0
  }

  expect_failures = [var.value_version]
}

run "refuses_a_version_without_value" {
  command = plan

  variables {
    value_version = 3
  }

  expect_failures = [aws_secretsmanager_secret_version.this[0]]
}

run "refuses_a_short_window" {
  command = plan

  variables {
    recovery_window_days = 3
  }

  expect_failures = [var.recovery_window_days]
}

run "refuses_a_key_by_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:alias/shop"
  }

  expect_failures = [var.kms_key_arn]
}
