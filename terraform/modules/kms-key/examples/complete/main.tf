# A key for a table, a log group and one role that calls KMS itself. Region and credentials come from the environment.
terraform {
  required_version = ">= 1.10, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7.0"
    }
  }
}

provider "aws" {}

variable "emulated" {
  description = "Leave the period of the rotation to KMS: an emulator does not store one."
  type        = bool
  default     = false
}

variable "name" {
  description = "Beginning of the names."
  type        = string
  default     = "example-complete"
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

module "role" {
  source = "../../../function-role"

  name           = "${var.name}-signer"
  function_names = ["${var.name}-signer"]
}

module "key" {
  source = "../.."

  name        = "${var.name}/orders"
  description = "Encrypts the table and the log of ${var.name}"
  services    = ["dynamodb", "secretsmanager"]
  user_arns   = [module.role.arn]

  service_principals = [{
    service    = "logs.${data.aws_region.current.id}.${data.aws_partition.current.dns_suffix}"
    conditions = { ArnEquals = { "kms:EncryptionContext:aws:logs:arn" = ["arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}:log-group:/${var.name}/orders"] } }
  }]

  rotation_period_days = var.emulated ? null : 180
  deletion_window_days = 7

  tags = { Team = "shop" }
}

resource "aws_cloudwatch_log_group" "orders" {
  name              = "/${var.name}/orders"
  retention_in_days = 365
  kms_key_id        = module.key.arn
}

output "alias" {
  description = "What people call the key."
  value       = module.key.alias
}
