# A budget of the whole account, told by mail. Region and credentials come from the environment.
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
  description = "Name of the budget."
  type        = string
  default     = "example-minimal"
}

module "budget" {
  source = "../.."

  name            = var.name
  limit           = 50
  cost_tags       = {}
  email_addresses = ["ops@example.com"]
}

output "arn" {
  description = "The budget."
  value       = module.budget.arn
}
