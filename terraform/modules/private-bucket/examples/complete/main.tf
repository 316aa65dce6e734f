# A bucket that another account reads, with records that nobody replaces or deletes. Region and credentials come from the environment.
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
  description = "Beginning of the bucket's name. The account's number makes it one of its own."
  type        = string
  default     = "example-complete"
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

module "bucket" {
  source = "../.."

  name               = "${var.name}-${data.aws_caller_identity.current.account_id}"
  reader_account_ids = ["111111111111"]

  append_only_prefixes   = ["records/"]
  never_deleted_prefixes = ["records/"]
  break_glass_arns       = ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:role/break-glass"]

  noncurrent_version_days = 30
  expiring_prefixes       = { "tmp/" = 7 }
  emulated                = var.emulated

  tags = { Team = "shop" }
}

output "arn" {
  description = "The bucket."
  value       = module.bucket.arn
}

output "policy" {
  description = "What the bucket refuses, as JSON."
  value       = module.bucket.exact_policy
}
