locals {
  name_prefix = "${var.environment.project}-${var.environment.account_id}-${var.environment.name}"

  # Where the function's variables say how much it logs, whatever the format.
  log_level      = var.log_level == null ? {} : { LOG_LEVEL = var.log_level }
  logging_config = var.log_format == null ? null : { log_format = var.log_format, application_log_level = var.log_format == "JSON" ? var.log_level : null }
}

module "invoice" {
  source = "../../modules/lambda-function"

  name                     = "${local.name_prefix}-invoice"
  release                  = var.releases["invoice"]
  role_arn                 = var.function_role_arn
  permissions_boundary_arn = var.function_role_arn == null ? var.permissions_boundary_arn : null
  memory_size              = var.memory_size
  timeout                  = var.timeout
  log_retention_days       = var.log_retention_days
  logging_config           = local.logging_config
  environment_variables    = local.log_level
}
