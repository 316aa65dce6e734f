terraform {
  required_version = ">= 1.10, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7.0"
    }
  }
}

# Region and credentials come from the environment: AWS_REGION, AWS_PROFILE and the like.
provider "aws" {
  max_retries = 2
}

module "orders" {
  source = "../.."

  name       = "slipway-modules-example-all-orders"
  hash_key   = "customer"
  range_key  = "placed_at"
  attributes = { customer = "S", placed_at = "N", status = "S" }

  global_secondary_indexes = {
    by-status = { hash_key = "status", range_key = "placed_at", projection = "KEYS_ONLY" }
  }

  stream_view_type       = "NEW_AND_OLD_IMAGES"
  ttl_attribute          = "expires_at"
  point_in_time_recovery = true
  deletion_protection    = false
  tags                   = { Purpose = "example" }
}

output "stream_arn" {
  value = module.orders.stream_arn
}

output "what_a_reader_of_the_stream_may" {
  value = module.orders.stream_read_statements
}
