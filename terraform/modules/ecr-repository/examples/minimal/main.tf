# A repository for the images of one function. Region and credentials come from the environment.
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
  description = "Name of the repository."
  type        = string
  default     = "example-minimal"
}

module "images" {
  source = "../.."

  name = var.name
}

output "url" {
  description = "Where images are pushed."
  value       = module.images.url
}
