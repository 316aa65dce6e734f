# Roles of GitHub Actions for one environment. Region and credentials come from the environment. An administrator applies it.
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

variable "project" {
  description = "Name of the project: the first part of every name."
  type        = string
  default     = "example"
}

data "aws_caller_identity" "current" {}

module "ci_roles" {
  source = "../.."

  project           = var.project
  github_repository = "acme/shop"
  environments      = { dev = { github_environment = "dev" } }
  artifact_store    = { bucket = "${var.project}-${data.aws_caller_identity.current.account_id}-artifacts" }
}

output "apply_role_arns" {
  description = "What the jobs that apply assume, by environment."
  value       = module.ci_roles.apply_role_arns
}
