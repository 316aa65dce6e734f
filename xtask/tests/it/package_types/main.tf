# Every function that has a release, zip or image alike.

module "function" {
  source   = "../../modules/lambda-function"
  for_each = var.releases

  name               = "${var.environment.project}-${var.environment.account_id}-${var.environment.name}-${each.key}"
  release            = each.value
  memory_size        = 256
  timeout            = 20
  log_retention_days = 1
}

output "functions" {
  description = "What Slipway verifies and rolls out."
  value       = { for name, one in module.function : name => one.function }
}
