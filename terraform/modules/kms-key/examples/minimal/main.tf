# A key that principals of this account use through S3 alone. Region and credentials come from the environment.
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
  description = "Name of the key's alias."
  type        = string
  default     = "example-minimal"
}

module "key" {
  source = "../.."

  name        = var.name
  description = "Encrypts the objects of ${var.name}"
  services    = ["s3"]
}

output "arn" {
  description = "The key."
  value       = module.key.arn
}
