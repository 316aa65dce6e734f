# A function with a role of its own making, keys, triggers and destinations. Region and credentials come from the
# environment. `emulated` leaves out what an emulator lacks.
terraform {
  required_version = ">= 1.10, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7.0"
    }
  }
}

provider "aws" {
  default_tags {
    tags = { Project = "example" }
  }
}

variable "name" {
  description = "Name of the function, and the beginning of every other name."
  type        = string
  default     = "example-complete"
}

variable "zip" {
  description = "The function's code: a zip with index.py."
  type        = string
  default     = "function.zip"
}

variable "emulated" {
  description = "Leave out what Slipway's emulator lacks: queues as sources, formats and levels of the log, provisioned concurrency."
  type        = bool
  default     = false
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  log_group_arn = "arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}:log-group:/aws/lambda/${var.name}"
}

# One key for the variables and the log of the function.
module "key" {
  source = "../../../kms-key"

  name                 = var.name
  description          = "Encrypts variables and log of ${var.name}"
  services             = ["lambda"]
  deletion_window_days = 7

  service_principals = [{
    service    = "logs.${data.aws_region.current.id}.${data.aws_partition.current.dns_suffix}"
    conditions = { ArnEquals = { "kms:EncryptionContext:aws:logs:arn" = [local.log_group_arn] } }
  }]
}

# The role, with more than its log: what it sends to the queue of failures, and what it reads from the queue of orders.
module "role" {
  source = "../../../function-role"

  name           = var.name
  function_names = [var.name]

  policies = {
    queues = [
      { sid = "ReadOrders", actions = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], resources = [aws_sqs_queue.orders.arn] },
      { sid = "KeepFailures", actions = ["sqs:SendMessage"], resources = [aws_sqs_queue.failures.arn] },
    ]
    customers = [
      { sid = "ReadCustomers", actions = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"], resources = [aws_dynamodb_table.customers.stream_arn] },
      { sid = "ListStreams", actions = ["dynamodb:ListStreams"], resources = ["*"] },
    ]
    key = [
      { sid = "DecryptVariables", actions = ["kms:Decrypt"], resources = [module.key.arn] },
    ]
  }
}

resource "aws_dynamodb_table" "customers" {
  #checkov:skip=CKV_AWS_28: an example; take the module dynamodb-table
  #checkov:skip=CKV_AWS_119: an example; take the module dynamodb-table
  name             = "${var.name}-customers"
  billing_mode     = "PAY_PER_REQUEST"
  hash_key         = "id"
  stream_enabled   = true
  stream_view_type = "NEW_IMAGE"

  attribute {
    name = "id"
    type = "S"
  }
}

resource "aws_sqs_queue" "orders" {
  name                       = "${var.name}-orders"
  sqs_managed_sse_enabled    = true
  visibility_timeout_seconds = 60
}

resource "aws_sqs_queue" "failures" {
  name                    = "${var.name}-failures"
  sqs_managed_sse_enabled = true
}

resource "aws_sns_topic" "news" {
  #checkov:skip=CKV_AWS_26: an example whose messages are no secret
  name = "${var.name}-news"
}

resource "aws_s3_bucket" "uploads" {
  #checkov:skip=CKV_AWS_18: an example; take the module s3-bucket
  #checkov:skip=CKV_AWS_21: an example; take the module s3-bucket
  #checkov:skip=CKV_AWS_144: an example; take the module s3-bucket
  #checkov:skip=CKV_AWS_145: an example; take the module s3-bucket
  #checkov:skip=CKV2_AWS_6: an example; take the module s3-bucket
  #checkov:skip=CKV2_AWS_62: bucket_triggers below sets them
  #checkov:skip=CKV2_AWS_61: an example; take the module s3-bucket
  bucket_prefix = "${var.name}-"
  force_destroy = true
}

module "function" {
  source = "../.."

  name    = var.name
  rollout = "terraform"

  release = {
    architecture = "arm64"
    runtime      = "python3.13"
    handler      = "index.handle"
    code = {
      filename = var.zip
      sha256   = filebase64sha256(var.zip)
    }
  }

  memory_size           = 256
  timeout               = 10
  environment_variables = { TABLE = "orders" }
  kms_key_arn           = module.key.arn

  make_role = false
  role_arn  = module.role.arn

  log_retention_days = 30
  log_kms_key_arn    = module.key.arn
  logging_config     = var.emulated ? null : { application_log_level = "INFO", system_log_level = "WARN" }

  provisioned_concurrent_executions = var.emulated ? null : 1

  event_sources = merge(
    { customers = { event_source_arn = aws_dynamodb_table.customers.stream_arn, batch_size = 10, starting_position = "LATEST" } },
    var.emulated ? {} : { orders = { event_source_arn = aws_sqs_queue.orders.arn, batch_size = 5, maximum_concurrency = 2 } },
  )

  async_invocation = {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 1
    on_failure_arn               = aws_sqs_queue.failures.arn
  }

  topic_triggers = {
    news = { topic_arn = aws_sns_topic.news.arn, filter_policy = jsonencode({ kind = ["order"] }) }
  }

  bucket_triggers = {
    uploads = { bucket = aws_s3_bucket.uploads.bucket, notifications = [{ filter_prefix = "in/", filter_suffix = ".csv" }] }
  }

  event_rules = {
    nightly = { schedule_expression = "cron(0 3 * * ? *)", input = jsonencode({ name = "night" }) }
    orders  = { event_pattern = jsonencode({ source = ["example.orders"] }), enabled = false }
  }
}

output "alias_arn" {
  description = "What callers invoke."
  value       = module.function.alias_arn
}

output "version" {
  description = "The version that serves."
  value       = module.function.version
}

output "role_arn" {
  description = "The role that the function runs as."
  value       = module.function.role_arn
}
