# A bucket with a key of its own, which Terraform does not destroy. Region and credentials come from the environment.
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
  default     = "example-minimal"
}

data "aws_caller_identity" "current" {}

module "bucket" {
  source = "../.."

  name     = "${var.name}-${data.aws_caller_identity.current.account_id}"
  emulated = var.emulated
}

output "arn" {
  description = "The bucket."
  value       = module.bucket.arn
}
