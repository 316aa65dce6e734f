# A bucket of states with a lock table, a key of the caller's and a role that may delete. Region and credentials come from the environment. Its own state is kept
# elsewhere.
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
  description = "Beginning of the names. The account's number makes the bucket's one of its own."
  type        = string
  default     = "example-complete"
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

module "key" {
  source = "../../../kms-key"

  name                 = "${var.name}-state-key"
  description          = "Encrypts the states of ${var.name}"
  services             = ["dynamodb", "s3"]
  deletion_window_days = 7
}

module "state" {
  source = "../.."

  bucket                  = "${var.name}-${data.aws_caller_identity.current.account_id}-state"
  lock_table              = "${var.name}-locks"
  make_key                = false
  kms_key_arn             = module.key.arn
  break_glass_arns        = ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:role/break-glass"]
  noncurrent_version_days = 30
  plan_days               = 7
  emulated                = var.emulated

  tags = { Team = "shop" }
}

output "bucket" {
  description = "What a backend of the type s3 names."
  value       = module.state.bucket
}

output "lock_table" {
  description = "What locks the states beside the file."
  value       = module.state.lock_table
}
