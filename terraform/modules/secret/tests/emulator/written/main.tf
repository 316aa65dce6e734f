variable "value" {
  type = string
}

variable "value_version" {
  type = number
}

module "secret" {
  source = "../../.."

  name                 = "slipway-modules-secret-value"
  description          = "Opens nothing"
  value                = var.value
  value_version        = var.value_version
  recovery_window_days = 0
  tags                 = { Purpose = "emulator" }
}

data "aws_secretsmanager_secret" "this" {
  name = module.secret.name

  depends_on = [module.secret]
}

# Reads past the module what Secrets Manager holds now.
data "aws_secretsmanager_secret_version" "this" {
  secret_id = module.secret.arn

  depends_on = [module.secret]
}

output "arn" {
  value = module.secret.arn
}

output "told" {
  value = data.aws_secretsmanager_secret.this
}

output "stored" {
  value = nonsensitive(data.aws_secretsmanager_secret_version.this.secret_string)
}
