module "bucket" {
  source = "../private-bucket"

  name               = var.bucket
  make_key           = var.make_key
  kms_key_arn        = var.kms_key_arn
  reader_account_ids = var.reader_account_ids

  require_new_keys        = true
  never_deleted_prefixes  = [""]
  break_glass_arns        = var.break_glass_arns
  emulated                = var.emulated
  noncurrent_version_days = var.noncurrent_version_days

  tags = var.tags
}
