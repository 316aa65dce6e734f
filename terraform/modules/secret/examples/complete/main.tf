# A secret whose value Terraform writes without storing it, with a customer key, and a role that reads it. Region and credentials come from the environment.
terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7.0"
    }
  }
}

provider "aws" {}

variable "name" {
  description = "Beginning of the names."
  type        = string
  default     = "example-complete"
}

variable "value" {
  description = "What the secret holds: TF_VAR_value. It is in no plan and in no state."
  type        = string
  default     = "change-me"
  ephemeral   = true
  sensitive   = true
}

module "key" {
  source = "../../../kms-key"

  name                 = "${var.name}-secret"
  description          = "Encrypts the secret of ${var.name}"
  services             = ["secretsmanager"]
  deletion_window_days = 7
}

module "secret" {
  source = "../.."

  name                 = "${var.name}/key"
  description          = "Key of the shop's API"
  value                = var.value
  value_version        = 1
  kms_key_arn          = module.key.arn
  recovery_window_days = 0

  tags = { Team = "shop" }
}

module "role" {
  source = "../../../function-role"

  name           = "${var.name}-reader"
  function_names = ["${var.name}-reader"]

  policies = {
    secret = [
      { sid = "ReadSecret", actions = ["secretsmanager:GetSecretValue"], resources = [module.secret.arn] },
      { sid = "DecryptSecret", actions = ["kms:Decrypt"], resources = [module.key.arn] },
    ]
  }
}

output "arn" {
  description = "The secret."
  value       = module.secret.arn
}
