# A stream with a customer key that a function reads and a role writes. Region and credentials come from the environment.
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
  description = "Beginning of the names."
  type        = string
  default     = "example-complete"
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

  # Reading the stream and its key.
  policy_statements = module.orders.read_statements
  event_sources     = { orders = { event_source_arn = module.orders.arn, batch_size = 10, starting_position = "LATEST" } }

  release = {
    runtime = "python3.13"
    handler = "index.handle"
    code = {
      filename = var.zip
      sha256   = filebase64sha256(var.zip)
    }
  }
}

module "key" {
  source = "../../../kms-key"

  name                 = "${var.name}-orders"
  description          = "Encrypts the records of ${var.name}"
  services             = ["kinesis"]
  deletion_window_days = 7
}

module "orders" {
  source = "../.."

  name                = "${var.name}-orders"
  shard_count         = 2
  retention_hours     = 48
  kms_key_arn         = module.key.arn
  shard_level_metrics = ["IteratorAgeMilliseconds", "WriteProvisionedThroughputExceeded"]
}

module "producer" {
  source = "../../../function-role"

  name           = "${var.name}-producer"
  function_names = ["${var.name}-producer"]
  policies       = { orders = module.orders.write_statements }
}

output "arn" {
  description = "The stream."
  value       = module.orders.arn
}
