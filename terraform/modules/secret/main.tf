resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV_AWS_149: the key is the caller's choice; a customer key costs a monthly fee, and without one the secret is encrypted with aws/secretsmanager
  #checkov:skip=CKV2_AWS_57: what rotates a value is a function that knows what it opens; a new value is written with the next value_version
  name                    = var.name
  description             = var.description
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.recovery_window_days
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "this" {
  count = var.value_version == null ? 0 : 1

  secret_id = aws_secretsmanager_secret.this.id

  # Write-only: sent to AWS, kept in neither plan nor state.
  # https://developer.hashicorp.com/terraform/language/manage-sensitive-data/write-only
  secret_string_wo         = var.value
  secret_string_wo_version = var.value_version

  lifecycle {
    precondition {
      condition     = var.value != null
      error_message = "A value_version was given for the secret ${var.name}, but no value: give the value at the plan and at the apply, or neither."
    }
  }
}
