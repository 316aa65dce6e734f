# A bucket with a customer key, for one role alone. Region and credentials come from the environment.
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
  description = "Leave out what an emulator lacks. A real account refuses it."
  type        = bool
  default     = false
}

variable "name" {
  description = "Beginning of the names. The account's number makes it one of its own."
  type        = string
  default     = "example-complete"
}

data "aws_caller_identity" "current" {}
# An emulator need not have the role.
data "aws_iam_session_context" "current" {
  count = var.emulated ? 0 : 1

  arn = data.aws_caller_identity.current.arn
}

locals {
  # A role's session is known by its role.
  appliers = data.aws_iam_session_context.current[*].issuer_arn
}

module "key" {
  source = "../../../kms-key"

  name                 = "${var.name}-bucket"
  description          = "Encrypts the objects of ${var.name}"
  services             = ["s3"]
  deletion_window_days = 7
}

module "role" {
  source = "../../../function-role"

  name           = "${var.name}-reader"
  function_names = ["${var.name}-reader"]
}

module "bucket" {
  source = "../.."

  name        = "${var.name}-${data.aws_caller_identity.current.account_id}"
  kms_key_arn = module.key.arn

  # Whoever applies this stays among them: it reads the bucket's settings again, and empties it.
  allowed_principal_arns = concat([module.role.arn], local.appliers)
  administrator_arns     = local.appliers

  noncurrent_version_days = 30
  expiring_prefixes       = { "tmp/" = 7 }
  force_destroy           = true
  emulated                = var.emulated

  tags = { Team = "shop" }
}

output "arn" {
  description = "The bucket."
  value       = module.bucket.arn
}
