locals {
  name_prefix = "${var.environment.project}-${var.environment.account_id}"
}

module "state" {
  source = "../modules/private-bucket"

  name             = "${local.name_prefix}-${var.environment.name}-state"
  require_https    = !var.emulated
  manage_lifecycle = !var.emulated

  # Every run replaces the state and leaves a version of its lock file behind.
  noncurrent_version_days = 90
  expiring_prefixes       = { "plans/" = var.plan_days }
}

module "artifact_store" {
  source = "../modules/artifact-store"
  count  = var.artifact_store == null ? 0 : 1

  bucket              = "${local.name_prefix}-artifacts"
  reader_account_ids  = var.artifact_store.reader_account_ids
  require_https       = !var.emulated
  require_new_objects = !var.emulated
  manage_lifecycle    = !var.emulated
}
