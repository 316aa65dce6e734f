# One function from a zip, in one apply: region and credentials come from the environment.
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

variable "name" {
  description = "Name of the function, its role and its log group."
  type        = string
  default     = "example-minimal"
}

variable "zip" {
  description = "The function's code: a zip with index.py. Another one publishes a version, and the alias follows."
  type        = string
  default     = "function.zip"
}

module "function" {
  source = "../.."

  name    = var.name
  rollout = "terraform"

  release = {
    runtime = "python3.13"
    handler = "index.handle"
    code = {
      filename = var.zip
      sha256   = filebase64sha256(var.zip)
    }
  }
}

output "alias_arn" {
  description = "What callers invoke."
  value       = module.function.alias_arn
}

output "version" {
  description = "The version that serves."
  value       = module.function.version
}
