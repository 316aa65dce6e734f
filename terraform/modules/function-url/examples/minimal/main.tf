# A URL for callers that sign their requests. Region and credentials come from the environment.
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

variable "name" {
  description = "Name of the function."
  type        = string
  default     = "example-minimal"
}

module "function" {
  source = "../../../lambda-function"

  name    = var.name
  rollout = "terraform"

  release = {
    runtime = "python3.13"
    handler = "index.handle"
    code    = { filename = "function.zip", sha256 = filebase64sha256("function.zip") }
  }
}

module "url" {
  source = "../.."

  function = module.function.function
  emulated = var.emulated
}

output "url" {
  description = "Where to call the function."
  value       = module.url.url
}
