module "bucket" {
  source = "../private-bucket"

  name               = var.bucket
  kms_key_arn        = var.kms_key_arn
  reader_account_ids = var.reader_account_ids

  require_https           = var.require_https
  require_new_keys        = var.require_new_objects
  never_deleted_prefixes  = [""]
  break_glass_arns        = var.break_glass_arns
  enforce                 = var.enforce
  manage_lifecycle        = var.manage_lifecycle
  noncurrent_version_days = var.noncurrent_version_days

  tags = var.tags
}
