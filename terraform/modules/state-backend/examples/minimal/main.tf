# A bucket of states, which Terraform locks by a file in it. Region and credentials come from the environment. Its own state is kept elsewhere.
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

module "state" {
  source = "../.."

  bucket   = "${var.name}-${data.aws_caller_identity.current.account_id}-state"
  emulated = var.emulated
}

output "bucket" {
  description = "What a backend of the type s3 names."
  value       = module.state.bucket
}
