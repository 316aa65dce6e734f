# An API in front of one function: every request is signed. Region and credentials come from the environment.
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
  description = "Name of the function and of the API."
  type        = string
  default     = "example-minimal"
}

variable "zip" {
  description = "The function's code: a zip with index.py."
  type        = string
  default     = "function.zip"
}

module "function" {
  source = "../../../lambda-function"

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

module "api" {
  source = "../.."

  name       = var.name
  function   = module.function.function
  invoke_arn = module.function.invoke_arn
}

output "url" {
  description = "Where the API answers."
  value       = module.api.url
}
