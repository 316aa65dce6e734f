# An API with routes, tokens of an issuer, pages that may call it, limits of single routes, and logs with a key of their
# own. Region and credentials come from the environment.
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
  description = "Name of the function and of the API, and the beginning of every other name."
  type        = string
  default     = "example-complete"
}

variable "domain" {
  description = "A domain for the API with a certificate of ACM in this region; null leaves the API its own address."
  type        = object({ name = string, certificate_arn = string, path = optional(string) })
  default     = null
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

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

module "key" {
  source = "../../../kms-key"

  name                 = "${var.name}-access-logs"
  description          = "Encrypts the access logs of ${var.name}"
  deletion_window_days = 7

  service_principals = [{
    service    = "logs.${data.aws_region.current.id}.${data.aws_partition.current.dns_suffix}"
    conditions = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = ["arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}:log-group:/aws/vendedlogs/apigateway/${var.name}"] } }
  }]
}

module "api" {
  source = "../.."

  name       = var.name
  function   = module.function.function
  invoke_arn = module.function.invoke_arn
  routes     = ["GET /orders", "GET /orders/{id}", "POST /orders"]

  jwt_authorizers   = { shop = { issuer = "https://issuer.example.com/shop", audiences = ["orders"] } }
  route_authorizers = { "GET /orders" = { authorizer = "shop", scopes = ["orders:read"] } }
  cors              = { allow_origins = ["https://shop.example.com"], allow_methods = ["GET", "POST"] }
  domain            = var.domain

  throttling_rate      = 50
  throttling_burst     = 100
  route_throttling     = { "POST /orders" = { rate = 5, burst = 10 } }
  timeout_milliseconds = 5000
  log_retention_days   = 30
  kms_key_arn          = module.key.arn

  tags = { Team = "shop" }
}

output "url" {
  description = "Where the API answers."
  value       = module.api.url
}

output "invoke_statements" {
  description = "What a caller that signs must be allowed."
  value       = module.api.invoke_statements
}
