# The role with which one GitHub environment publishes releases. Region and credentials come from the environment. An administrator applies it.
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

variable "project" {
  description = "Name of the project: the first part of every name."
  type        = string
  default     = "example"
}

data "aws_caller_identity" "current" {}

module "store" {
  source = "../../../artifact-store"

  bucket   = "${var.project}-${data.aws_caller_identity.current.account_id}-artifacts"
  emulated = var.emulated
}

module "publisher" {
  source = "../.."

  project            = var.project
  bucket             = module.store.bucket
  kms_key_arn        = module.store.kms_key_arn
  github_repository  = "acme/shop"
  github_environment = "release"
}

output "role_arn" {
  description = "What the job that publishes assumes."
  value       = module.publisher.role_arn
}
