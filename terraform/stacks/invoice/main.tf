locals {
  name_prefix = "${var.environment.project}-${var.environment.account_id}-${var.environment.name}"
}

module "invoice" {
  source = "../../modules/lambda-function"

  name                     = "${local.name_prefix}-invoice"
  release                  = var.releases["invoice"]
  permissions_boundary_arn = var.permissions_boundary_arn
  memory_size              = var.memory_size
  timeout                  = var.timeout
  log_retention_days       = var.log_retention_days
}
