module "bucket" {
  source = "../private-bucket"

  name        = var.bucket
  make_key    = var.make_key
  kms_key_arn = var.kms_key_arn

  # The ledger, what was applied with which values, archived states and plans are written once. Nobody deletes them (plans
  # expire), nor a replaced version of a state.
  append_only_prefixes   = ["archive/", "configurations/", "ledger/", "plans/"]
  never_deleted_prefixes = ["archive/", "configurations/", "ledger/"]
  break_glass_arns       = var.break_glass_arns
  emulated               = var.emulated

  # Every run replaces the state and leaves a version of its lock file behind.
  noncurrent_version_days = var.noncurrent_version_days
  expiring_prefixes       = { "${var.prefix}plans/" = var.plan_days }

  tags = var.tags
}

resource "aws_dynamodb_table" "locks" {
  count = var.lock_table == null ? 0 : 1

  name         = var.lock_table
  billing_mode = "PAY_PER_REQUEST"
  # The name that Terraform's S3 backend looks for.
  # https://developer.hashicorp.com/terraform/language/backend/s3#dynamodb-state-locking
  hash_key = "LockID"

  attribute {
    name = "LockID"
    type = "S"
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = module.bucket.kms_key_arn
  }

  # Beside the locks it holds the digest of every state: without them no state is believed.
  point_in_time_recovery {
    enabled = true
  }

  deletion_protection_enabled = true
  tags                        = var.tags

  lifecycle {
    prevent_destroy = true
  }
}
