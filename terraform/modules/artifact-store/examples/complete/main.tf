# A store that two other accounts read, with a key of the caller's. Region and credentials come from the environment.
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

# A given key must itself let the readers decrypt: kms-key lets principals of its own account do so. The policy names S3 alone.
module "key" {
  source = "../../../kms-key"

  name                 = "${var.name}-store"
  description          = "Encrypts the releases of ${var.name}"
  services             = ["s3"]
  deletion_window_days = 7
}

module "store" {
  source = "../.."

  bucket                  = "${var.name}-${data.aws_caller_identity.current.account_id}-artifacts"
  make_key                = false
  kms_key_arn             = module.key.arn
  reader_account_ids      = ["111111111111", "222222222222"]
  break_glass_arns        = ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:role/break-glass"]
  noncurrent_version_days = 30
  emulated                = var.emulated

  tags = { Team = "shop" }
}

output "bucket" {
  description = "Where releases are put."
  value       = module.store.bucket
}

output "policy" {
  description = "What the bucket refuses, as JSON."
  value       = module.store.exact_policy
}
