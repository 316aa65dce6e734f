# Roles for two environments: GitHub Actions and people, a role that only reads, rights that no stack uses taken away.
# Region and credentials come from the environment. An administrator applies it.
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
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  partition  = data.aws_partition.current.partition
  account_id = data.aws_caller_identity.current.account_id
  region     = data.aws_region.current.id
}

module "ci_roles" {
  source = "../.."

  project              = var.project
  github_repository    = "acme/shop"
  github_repository_id = "123456789"

  environments = {
    dev = {
      github_environment = "dev"
      github_branches    = ["main"]
      plan_reads_secrets = true
      suites             = { buckets = ["objects"], tables = ["orders"] }
      people             = { plan_role_arns = ["arn:${local.partition}:iam::${local.account_id}:role/developers"] }
    }

    prod = {
      protected          = true
      github_environment = "production"
      lock_table         = "${var.project}-${local.account_id}-prod-locks"
      reader_role_arns   = ["arn:${local.partition}:iam::${local.account_id}:role/auditors"]

      # No stack of this team has a network, and one calls a model.
      without = ["network"]
      extra_statements = {
        boundary = [{ actions = ["bedrock:InvokeModel"], resources = ["arn:${local.partition}:bedrock:${local.region}::foundation-model/*"] }]
      }
    }
  }

  artifact_store = {
    bucket          = "${var.project}-${local.account_id}-artifacts"
    repository_arns = ["arn:${local.partition}:ecr:${local.region}:${local.account_id}:repository/${var.project}/*"]
  }

  session_seconds = 7200
  tags            = { Team = "shop" }
}

output "apply_role_arns" {
  description = "What the jobs that apply assume, by environment."
  value       = module.ci_roles.apply_role_arns
}

output "boundary_arns" {
  description = "What stacks give to the roles that they make, by environment."
  value       = module.ci_roles.boundary_arns
}
