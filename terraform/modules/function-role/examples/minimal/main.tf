# A role that writes one function's log and does nothing else. Region and credentials come from the environment.
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
  description = "Name of the role, and of the function that runs as it."
  type        = string
  default     = "example-minimal"
}

module "role" {
  source = "../.."

  name           = var.name
  function_names = [var.name]
}

output "arn" {
  description = "The role, for the function."
  value       = module.role.arn
}
