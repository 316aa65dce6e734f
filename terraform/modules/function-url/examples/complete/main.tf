# A URL that browsers of one origin call, answered as the function writes. Everyone may call: the function has to check who does.
# Region and credentials come from the environment.
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
  default     = "example-complete"
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

  function         = module.function.function
  authorization    = "NONE"
  stream_responses = true
  emulated         = var.emulated

  cors = {
    allow_origins = ["https://shop.example"]
    allow_methods = ["GET", "POST"]
    allow_headers = ["content-type", "x-api-key"]
    max_age       = 600
  }

  tags = { Team = "shop" }
}

output "url" {
  description = "Where to call the function."
  value       = module.url.url
}
