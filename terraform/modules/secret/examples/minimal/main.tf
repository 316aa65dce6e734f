# A secret whose value its owner sets, outside of Terraform. Region and credentials come from the environment.
terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7.0"
    }
  }
}

provider "aws" {}

variable "name" {
  description = "Name of the secret."
  type        = string
  default     = "example-minimal/key"
}

module "secret" {
  source = "../.."

  name        = var.name
  description = "Key of the shop's API"
}

output "arn" {
  description = "The secret."
  value       = module.secret.arn
}
